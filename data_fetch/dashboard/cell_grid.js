// A grid of cells on a canvas as large as what is seen of it: quick to draw with thousands of
// cells, reachable by keyboard, and scrolled by the browser. The text of the cells is that of
// cells.py. One instance keeps its state on its frame while Python sends new data.

const HEAD = 20, LEAST = 14, MOST = 26, TALL = 16, TEXT = 12;

export default function ({ data, parentElement, setStateValue }) {
  const frame = parentElement.querySelector(".frame");
  const grid = (frame.grid ??= new Grid(frame));
  grid.send = (value) => setStateValue("selection", value);
  grid.show(data);
  return () => grid.end();
}

class Grid {
  constructor(frame) {
    for (const name of ["scroller", "extent", "tip", "spoken", "legend"])
      this[name] = frame.querySelector("." + name);
    this.frame = frame;
    this.canvas = frame.querySelector("canvas");
    this.chosen = null;
    const on = (what, names) => {
      for (const name of names) what.addEventListener(name, (event) => this[name](event));
    };
    on(this.scroller, ["scroll", "keydown", "focus", "blur"]);
    on(this.canvas, ["pointerdown", "pointermove", "pointerup", "pointerleave"]);
    this.sizes = new ResizeObserver(() => this.layOut());
    this.sizes.observe(frame);
    this.theme = new MutationObserver(() => this.draw());
    this.theme.observe(document.documentElement, { attributes: true, attributeFilter: ["style", "class"] });
  }

  end() {
    this.sizes.disconnect();
    this.theme.disconnect();
    delete this.frame.grid;
  }

  show(data) {
    // The newest day is what most look for.
    if (!this.data) this.cursor = this.corner = [0, data.newest_last ? Infinity : 0];
    this.data = data;
    this.codes = Object.fromEntries(data.states.map(([code, name, colour]) => [code, { name, colour }]));
    this.cells = data.text.match(/[A-Z-][^A-Z-]*/g) ?? [];
    this.scroller.setAttribute("aria-label", data.label);
    const at = (name, list) => Math.max(0, list.indexOf(name));
    if (data.selected) {
      const [first, last] = data.selected;
      this.corner = [at(first[0], data.rows), at(first[1], data.columns)];
      this.cursor = [at(last[0], data.rows), at(last[1], data.columns)];
      this.chosen = [this.corner, this.cursor];
    } else this.chosen = null;
    this.cursor = this.within(this.cursor);
    this.corner = this.within(this.corner);
    const shown = new Set(data.text.toUpperCase());
    this.legend.replaceChildren(...data.states.filter(([code]) => shown.has(code)).map(([, name, colour]) => {
      const entry = document.createElement("span"), mark = document.createElement("i");
      mark.style.background = colour;
      entry.append(mark, name);
      return entry;
    }));
    this.layOut();
  }

  within([row, column]) {
    const bound = (value, size) => Math.max(0, Math.min(size - 1, value));
    return [bound(row, this.data.rows.length), bound(column, this.data.columns.length)];
  }

  layOut() {
    if (!this.data) return;
    const { rows, columns } = this.data;
    const pen = this.canvas.getContext("2d");
    pen.font = this.font();
    this.side = 8 + Math.ceil(Math.max(0, ...rows.map((name) => pen.measureText(name).width)));
    this.seen = this.frame.clientWidth;
    this.wide = Math.max(LEAST, Math.min(MOST, Math.floor((this.seen - this.side - 4) / columns.length)));
    this.extent.style.width = this.side + columns.length * this.wide + "px";
    this.extent.style.height = HEAD + rows.length * TALL + "px";
    if (!this.placed && columns.length) {
      this.placed = true;
      if (this.data.newest_last) this.scroller.scrollLeft = this.scroller.scrollWidth;
    }
    this.draw();
  }

  font() { return TEXT + "px " + (getComputedStyle(this.frame).getPropertyValue("--st-font") || "sans-serif"); }

  draw() {
    if (!this.data) return;
    const { rows, columns } = this.data, dense = window.devicePixelRatio || 1;
    const width = Math.min(this.seen, this.side + columns.length * this.wide);
    const height = Math.min(this.scroller.clientHeight, HEAD + rows.length * TALL);
    this.canvas.width = width * dense;
    this.canvas.height = height * dense;
    this.canvas.style.width = width + "px";
    this.canvas.style.height = height + "px";
    const pen = this.canvas.getContext("2d"), style = getComputedStyle(this.frame);
    const ink = style.getPropertyValue("--st-text-color") || "#888";
    const ground = style.getPropertyValue("--st-background-color") || "#fff";
    pen.scale(dense, dense);
    pen.font = this.font();
    pen.textBaseline = "middle";
    const { scrollLeft: left, scrollTop: top } = this.scroller;
    const [row0, row1] = [Math.floor(top / TALL), Math.min(rows.length, Math.ceil((top + height) / TALL))];
    const [column0, column1] = [Math.floor(left / this.wide), Math.min(columns.length, Math.ceil((left + width) / this.wide))];
    for (let row = row0; row < row1; row++)
      for (let column = column0; column < column1; column++) this.drawCell(pen, row, column, left, top);
    this.drawFrame(pen, this.chosen, ink, ground, left, top);
    if (this.focused) this.drawFrame(pen, [this.corner, this.cursor], ink, ground, left, top);
    pen.fillStyle = ground;
    pen.fillRect(0, 0, this.side, height);
    pen.fillRect(0, 0, width, HEAD);
    pen.fillStyle = ink;
    for (let row = row0; row < row1; row++) {
      const y = HEAD + row * TALL - top + TALL / 2;
      if (y > HEAD) pen.fillText(rows[row], 2, y);
    }
    let free = this.side;
    for (let column = column0; column < column1; column++) {
      const x = this.side + column * this.wide - left;
      const name = this.data.heads[column];
      if (!name || x < free) continue;
      const wide = pen.measureText(name).width;
      if (x + wide > width) continue;
      pen.fillText(name, x, HEAD / 2);
      free = x + wide + 8;
    }
  }

  drawCell(pen, row, column, left, top) {
    const parts = this.parts(row, column);
    const x = this.side + column * this.wide - left, y = HEAD + row * TALL - top;
    const [width, height] = [this.wide - 2, TALL - 2];
    if (!parts) {
      pen.fillStyle = "#8883";
      pen.fillRect(x + width / 2, y + height / 2, 1, 1);
      return;
    }
    pen.fillStyle = this.codes[parts.base].colour;
    pen.fillRect(x, y, width, height);
    let bottom = y + height;
    for (const [code, minutes] of parts.lacking) {
      // A single minute is seen, and is not taken for a lost day.
      const tall = minutes === parts.expected ? height : Math.min(height - 3, Math.max(3, Math.round((height * minutes) / parts.expected)));
      pen.fillStyle = this.codes[code].colour;
      pen.fillRect(x, Math.max(y, bottom - tall), width, Math.min(tall, bottom - y));
      bottom -= tall;
      if (bottom <= y) break;
    }
  }

  // In two colours, to be seen on cells of any.
  drawFrame(pen, corners, ink, ground, left, top) {
    if (!corners) return;
    const [row, column, row1, column1] = bounds(...corners);
    for (const [colour, width] of [[ground, 4], [ink, 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.strokeRect(this.side + column * this.wide - left - 1, HEAD + row * TALL - top - 1,
        (column1 - column + 1) * this.wide, (row1 - row + 1) * TALL);
    }
  }

  // What a cell has: the state it is filled with, and what it lacks, worst first.
  parts(row, column) {
    const text = this.cells[row * this.data.columns.length + column];
    if (!text || text[0] === "-") return null;
    const [states, other] = text.split("/"), expected = Number(other ?? this.data.expected[column]);
    const found = [...states.matchAll(/([A-Za-z])(\d*)/g)].map(([, code, minutes]) => [code.toUpperCase(), minutes]);
    const whole = found.find(([code, minutes]) => minutes === "");
    if (whole && whole[0] !== "P") return { base: whole[0], expected, lacking: [[whole[0], expected]] };
    return { base: "P", expected, lacking: found.filter(([code]) => code !== "P").map(([code, minutes]) => [code, Number(minutes)]) };
  }

  describe(row, column) {
    const { rows, columns, joint } = this.data, parts = this.parts(row, column);
    const name = rows[row] + joint + columns[column];
    if (!parts) return name + ": nothing expected";
    if (parts.base === "X") return name + ": not expected";
    if (parts.expected === 1) return name + ": " + this.codes[parts.lacking[0]?.[0] ?? "P"].name;
    const lacking = parts.lacking.reduce((sum, [, minutes]) => sum + minutes, 0);
    const counts = parts.lacking.map(([code, minutes]) => minutes + " " + this.codes[code].name);
    if (parts.expected > lacking) counts.push(parts.expected - lacking + " present");
    return name + ": " + counts.join(", ") + ", of " + parts.expected;
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const column = Math.floor((x - this.side + this.scroller.scrollLeft) / this.wide);
    const row = Math.floor((y - HEAD + this.scroller.scrollTop) / TALL);
    const inside = x >= this.side && y >= HEAD && row < this.data.rows.length && column < this.data.columns.length;
    return inside ? [row, column] : null;
  }

  point(place) {
    if (!place) { this.tip.style.visibility = "hidden"; return; }
    const [row, column] = place;
    const x = this.side + (column + 1) * this.wide - this.scroller.scrollLeft;
    const y = HEAD + (row + 1) * TALL - this.scroller.scrollTop;
    this.tip.textContent = this.describe(row, column);
    this.tip.style.visibility = "visible";
    this.tip.style.left = Math.max(0, Math.min(x, this.frame.clientWidth - this.tip.offsetWidth)) + "px";
    this.tip.style.top = y + 4 + "px";
  }

  choose() {
    this.chosen = [this.corner, this.cursor];
    const [row, column, row1, column1] = bounds(...this.chosen), { rows, columns } = this.data;
    this.draw();
    this.send([[rows[row], columns[column]], [rows[row1], columns[column1]]]);
  }

  scroll() { this.draw(); }
  focus() { this.focused = true; this.moved(); }
  blur() { this.focused = false; this.point(null); this.draw(); }

  pointerdown(event) {
    const place = this.placeOf(event);
    if (!place) return;
    this.cursor = place;
    if (!event.shiftKey) this.corner = place;
    this.dragging = event.pointerType === "mouse";
    this.draw();
  }

  pointermove(event) {
    const place = this.placeOf(event);
    this.point(place);
    if (this.dragging && event.buttons && place) { this.cursor = place; this.focused = true; this.draw(); }
  }

  pointerup(event) {
    const place = this.placeOf(event);
    this.dragging = false;
    if (!place) return;
    this.cursor = place;
    this.choose();
  }

  pointerleave() { this.point(null); }

  keydown(event) {
    const page = Math.max(1, Math.floor((this.scroller.clientHeight - HEAD) / TALL) - 1);
    const steps = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      PageUp: [-page, 0], PageDown: [page, 0],
      Home: [0, -Infinity], End: [0, Infinity],
    };
    if (event.key === "Enter" || event.key === " ") this.choose();
    else if (event.key === "Escape") { this.corner = this.cursor; this.moved(); }
    else if (steps[event.key]) {
      const [down, right] = steps[event.key];
      this.cursor = this.within([this.cursor[0] + down, this.cursor[1] + right]);
      if (!event.shiftKey) this.corner = this.cursor;
      this.moved();
    } else return;
    event.preventDefault();
  }

  // Keeps the cursor in sight, and says what is under it.
  moved() {
    const [row, column] = this.cursor, box = this.scroller;
    const x = column * this.wide, y = row * TALL;
    const [width, height] = [box.clientWidth - this.side, box.clientHeight - HEAD];
    if (x < box.scrollLeft) box.scrollLeft = x;
    if (x + this.wide > box.scrollLeft + width) box.scrollLeft = x + this.wide - width;
    if (y < box.scrollTop) box.scrollTop = y;
    if (y + TALL > box.scrollTop + height) box.scrollTop = y + TALL - height;
    this.draw();
    this.point(this.cursor);
    this.spoken.textContent = this.describe(row, column);
  }
}

function bounds([row, column], [row1, column1]) {
  return [Math.min(row, row1), Math.min(column, column1), Math.max(row, row1), Math.max(column, column1)];
}
