/** Pixels of a cell when many are in view. */
const CELL = 7;
/** How much higher than wide a cell may be. */
const TALLEST = 4;

/**
 * What of a disk is in view: cells in rows, a power of two in each, of a power of two of clusters each. Level 0 is cells of
 * one cluster, above it they hold more, below it fewer and larger ones are in view: down to a single cluster.
 */
export class Viewport {
  readonly unit: number;
  length: number;
  level = 0;
  start = 0;
  /** The byte that is pointed at, however large the cell is that it lies in. */
  #at = 0;
  #width = 1;
  #height = 1;
  #most = 1;
  #isWhole = true;

  constructor(length: number, unit: number) {
    this.length = length;
    this.unit = unit;
  }

  resize(width: number, height: number): void {
    this.#width = Math.max(1, width);
    this.#height = Math.max(1, height);
    this.#most = 2 ** Math.max(0, Math.floor(Math.log2(this.#width / CELL)));
    if (this.#isWhole) this.level = this.wholeLevel;
    this.goTo(this.start);
  }

  /** Where the cell begins that the readout speaks of. */
  get cursor(): number {
    return Math.floor(this.#at / this.cell) * this.cell;
  }

  /** Bytes of a cell. */
  get cell(): number {
    return this.#cellAt(this.level);
  }

  get columns(): number {
    return this.#columnsAt(this.level);
  }

  /** Of a cell, in CSS pixels. */
  get cellWidth(): number {
    return this.#width / this.columns;
  }

  /** Cells are squares, but higher where fewer rows would leave the picture half empty. */
  get cellHeight(): number {
    return Math.min(this.#height / this.rows, Math.max(TALLEST * this.cellWidth, 2 * CELL));
  }

  get rows(): number {
    return this.#rowsAt(this.level);
  }

  /** Cells in view; the disk's end may come before. */
  get count(): number {
    return Math.max(0, Math.min(this.columns * this.rows, Math.ceil((this.length - this.start) / this.cell)));
  }

  get end(): number {
    return Math.min(this.length, this.start + this.columns * this.rows * this.cell);
  }

  /** The level at which a single cluster is in view. */
  get closest(): number {
    return -Math.log2(this.#most);
  }

  /** The level at which all is in view. */
  get wholeLevel(): number {
    let level = this.closest;
    while (this.#columnsAt(level) * this.#rowsAt(level) * this.#cellAt(level) < this.length) level += 1;
    return level;
  }

  /** Zooms, and leaves what is under a point where it is, as far as rows allow. */
  zoom(steps: number, at = this.#at): void {
    const row = Math.floor((at - this.start) / (this.columns * this.cell));
    const part = Math.min(1, Math.max(0, row / this.rows));
    this.level = Math.min(this.wholeLevel, Math.max(this.closest, this.level + steps));
    this.#isWhole = this.level === this.wholeLevel;
    this.#pointAt(at);
    const rowLength = this.columns * this.cell;
    this.goTo((Math.floor(at / rowLength) - Math.floor(part * this.rows)) * rowLength);
    this.#show(this.cursor);
  }

  /** Shows all of it. */
  whole(): void {
    this.zoom(Number.POSITIVE_INFINITY);
  }

  /** Moves the cursor by cells, and what is in view with it. */
  step(cells: number): void {
    this.#pointAt(this.cursor + cells * this.cell);
    this.#show(this.cursor);
  }

  point(at: number): void {
    this.#pointAt(at);
    this.#show(this.cursor);
  }

  /** Has the row of this byte come first, or as near to it as the end allows. */
  goTo(at: number): void {
    const rowLength = this.columns * this.cell;
    const rows = Math.ceil(this.length / rowLength);
    const row = Math.floor(Math.max(0, at) / rowLength);
    this.start = Math.max(0, Math.min(row, rows - this.rows)) * rowLength;
  }

  scroll(rows: number): void {
    this.goTo(this.start + rows * this.columns * this.cell);
  }

  /** The byte at which the cell under a point begins, if there is one. */
  byteAt(x: number, y: number): number | undefined {
    const [column, row] = [Math.floor(x / this.cellWidth), Math.floor(y / this.cellHeight)];
    if (column < 0 || column >= this.columns || row < 0 || row >= this.rows) return undefined;
    const at = this.start + (row * this.columns + column) * this.cell;
    return at < this.length ? at : undefined;
  }

  #cellAt(level: number): number {
    return this.unit * 2 ** Math.max(0, level);
  }

  #columnsAt(level: number): number {
    return Math.max(1, this.#most / 2 ** Math.max(0, -level));
  }

  #rowsAt(level: number): number {
    const columns = this.#columnsAt(level);
    const cellWidth = this.#width / columns;
    const fit = Math.max(1, Math.floor(this.#height / cellWidth + 0.01));
    return Math.min(fit, Math.max(1, Math.ceil(this.length / (columns * this.#cellAt(level)))));
  }

  #pointAt(at: number): void {
    this.#at = Math.max(0, Math.min(this.length - 1, at));
  }

  #show(at: number): void {
    const rowLength = this.columns * this.cell;
    const row = Math.floor(at / rowLength) - Math.floor(this.start / rowLength);
    if (row < 0) this.goTo(at);
    else if (row >= this.rows) this.goTo(at - (this.rows - 1) * rowLength);
  }
}
