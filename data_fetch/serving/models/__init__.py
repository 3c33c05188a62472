"""The answers as OpenAPI describes them. They document; no answer is made from them."""
