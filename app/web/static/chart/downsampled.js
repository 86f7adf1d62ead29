// A curve of at most `limit` points, however long it runs: the last point of each interval of time.

export class Downsampled {
  /** Whether older points have changed, so that the curve must be drawn anew. */
  rebuilt = false;
  points = [];
  #interval = 60;

  constructor(limit) {
    this.limit = limit;
  }

  /** Append a point, times in seconds; returns whether it is later than the last one. */
  add(point) {
    const last = this.points.at(-1);
    if (last && point.time <= last.time) return false;
    if (last && this.#slot(last) === this.#slot(point)) {
      this.points.pop();
      this.rebuilt = true;
    }
    this.points.push(point);
    while (this.points.length > this.limit) this.#halve();
    return true;
  }

  #slot(point) {
    return Math.ceil(point.time / this.#interval);
  }

  #halve() {
    this.#interval *= 2;
    const lastOf = new Map(this.points.map((point) => [this.#slot(point), point]));
    this.points = [...lastOf.values()];
    this.rebuilt = true;
  }
}
