/** What something costs, by how many there are. */
export interface Course {
  name: string;
  colour: string;
  /** A value for each count. */
  values: number[];
}

/** Courses as a picture, SVG: values over `counts`, whose axis is logarithmic. */
export function plotCourses(title: string, counts: number[], courses: Course[]): string {
  const [width, height, left, right, top, bottom] = [760, 400, 70, 190, 56, 56];
  const first = Math.log10(counts[0]!);
  const last = Math.log10(counts.at(-1)!);
  const most = Math.max(...courses.flatMap(({ values }) => values)) * 1.1;
  const x = (count: number): string =>
    (left + ((Math.log10(count) - first) / (last - first)) * (width - left - right)).toFixed(1);
  const y = (value: number): string =>
    (height - bottom - (value / most) * (height - top - bottom)).toFixed(1);
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const each = [1, 2, 5, 10].find((step) => step * power >= rough)! * power;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="28" font-size="16">${title}</text>`,
  ];
  for (let value = 0; value <= most; value += each) {
    parts.push(
      `<path d="M${left} ${y(value)}H${width - right}" stroke="#e5e7eb"/>`,
      `<text x="${left - 8}" y="${y(value)}" text-anchor="end" dy="4">${value}</text>`,
    );
  }
  for (const count of counts) {
    const label = count.toLocaleString("en");
    parts.push(
      `<text x="${x(count)}" y="${height - bottom + 20}" text-anchor="middle">${label}</text>`,
    );
  }
  for (const { name, colour, values } of courses) {
    const points = values.map((value, i) => `${x(counts[i]!)},${y(value)}`);
    parts.push(
      `<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      `<text x="${width - right + 8}" y="${y(values.at(-1)!)}" dy="4" fill="${colour}">${name}</text>`,
    );
  }
  return [...parts, "</svg>", ""].join("\n");
}
