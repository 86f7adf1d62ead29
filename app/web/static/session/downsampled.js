// At most so many points of a curve however long it runs, evenly spread in time: the last of each interval is kept.

export class Thinned {
  rebuilt = false;
  #points = [];
  #interval = 60;

  constructor(most) {
    this.most = most;
  }

  /** Add a point behind those there are; returns whether it was news. Times are in seconds. */
  add(point) {
    const last = this.#points.at(-1);
    if (last && point.time <= last.time) return false;
    if (last && this.#slot(last) === this.#slot(point)) {
      this.#points.pop();
      this.rebuilt = true;
    }
    this.#points.push(point);
    while (this.#points.length > this.most) this.#halve();
    return true;
  }

  /** The points as they are now. */
  take() {
    this.rebuilt = false;
    return this.#points;
  }

  #slot(point) {
    return Math.ceil(point.time / this.#interval);
  }

  #halve() {
    this.#interval *= 2;
    const kept = new Map(this.#points.map((point) => [this.#slot(point), point]));
    this.#points = [...kept.values()];
    this.rebuilt = true;
  }
}
