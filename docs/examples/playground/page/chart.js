// A chart of two lines over the last minute, ten points a second.

const POINTS = 600;
const HEIGHT = 120;

export class Chart {
  #lines;
  #values = [[], []];
  #isFlat = false;

  constructor(svg) {
    this.#lines = ["a", "b"].map(name => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("class", name);
      line.setAttribute("vector-effect", "non-scaling-stroke");
      return svg.appendChild(line);
    });
  }

  /** Adds a point to each line, and returns the largest value in view. */
  add(...points) {
    let top = 0;
    for (const [at, point] of points.entries()) {
      const values = this.#values[at];
      values.push(point);
      if (values.length > POINTS) values.shift();
      top = values.reduce((top, value) => Math.max(top, value), top);
    }
    if (top === 0 && this.#isFlat) return 0;
    this.#isFlat = top === 0 && this.#values[0].length === POINTS;
    for (const [at, values] of this.#values.entries()) {
      const left = POINTS - values.length;
      this.#lines[at].setAttribute("points", values.map((value, x) => `${left + x},${(HEIGHT - 2 - value / Math.max(1, top) * (HEIGHT - 8)).toFixed(1)}`).join(" "));
    }
    return top;
  }
}
