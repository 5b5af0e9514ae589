// SPDX-License-Identifier: GPL-2.0-or-later
// The files of a four-layer log and their lines.
import fs from 'node:fs';
import path from 'node:path';

/** The file and those it was rotated or moved to (NAME.1, NAME-…), the oldest lines first as far as numbers tell. */
export function layerFiles(file) {
  const base = path.basename(file);
  const number = (f) => Number(f.match(/\.(\d+)$/)?.[1] ?? (f === base ? 0 : 1e9));
  return fs.readdirSync(path.dirname(file)).filter((f) => f === base || f.startsWith(`${base}.`) || f.startsWith(`${base}-`))
    .sort((a, b) => number(b) - number(a)).map((f) => path.join(path.dirname(file), f));
}

/** Every line of all files, parsed by `parse`; a file that does not end in a whole line is an error. */
export function layerLines(file, parse = JSON.parse, files = layerFiles(file)) {
  return files.flatMap((f) => {
    const text = fs.readFileSync(f, 'utf8');
    if (text !== '' && !text.endsWith('\n')) throw new Error(`${f} ends in half a line: ${text.slice(-200)}`);
    return text.split('\n').slice(0, -1).map(parse);
  });
}
