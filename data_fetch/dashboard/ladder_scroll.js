// Scrolls the ladder to the strike at the money, once for each view: a refresh leaves it where the
// reader has scrolled it.

const BOX = ".st-key-ladder", MONEY = ["tr.a", "tr.s"];

export default function ({ data, parentElement }) {
  if (parentElement.placed === data.view) return;
  const waiting = new MutationObserver(place);
  // The table may be drawn later than this part of the page.
  if (!place()) waiting.observe(document.body, { childList: true, subtree: true });
  return () => waiting.disconnect();

  function place() {
    const box = document.querySelector(BOX);
    if (!box?.querySelector(".ladder tbody th")) return false;
    waiting.disconnect();
    parentElement.placed = data.view;
    const row = MONEY.map((each) => box.querySelector(each)).find(Boolean);
    if (row) {
      const { top, height } = row.getBoundingClientRect();
      box.scrollTop += top - box.getBoundingClientRect().top - (box.clientHeight - height) / 2;
    }
    return true;
  }
}
