// SPDX-License-Identifier: GPL-2.0-or-later
// Tones in WAV files: what was said, and whether it was heard.
import fs from 'node:fs';

const RATE = 8000;

export function writeTone(file, hz, seconds) {
  const n = RATE * seconds;
  const b = Buffer.alloc(44 + n * 2);
  b.write('RIFF', 0);
  b.writeUInt32LE(36 + n * 2, 4);
  b.write('WAVEfmt ', 8);
  b.writeUInt32LE(16, 16);
  b.writeUInt16LE(1, 20);
  b.writeUInt16LE(1, 22);
  b.writeUInt32LE(RATE, 24);
  b.writeUInt32LE(RATE * 2, 28);
  b.writeUInt16LE(2, 32);
  b.writeUInt16LE(16, 34);
  b.write('data', 36);
  b.writeUInt32LE(n * 2, 40);
  for (let i = 0; i < n; i++) b.writeInt16LE(Math.round(12000 * Math.sin((2 * Math.PI * hz * i) / RATE)), 44 + i * 2);
  fs.writeFileSync(file, b);
}

function power(samples, hz) {
  const k = 2 * Math.cos((2 * Math.PI * hz) / RATE);
  let a = 0, b = 0;
  for (const s of samples) { const c = s + k * a - b; b = a; a = c; }
  return (a * a + b * b - k * a * b) / samples.length;
}

/** Seconds of the file in which this tone is the loudest thing (frames of 20 ms, against all else in the frame). */
export function secondsOfTone(file, hz) {
  const b = fs.readFileSync(file);
  const at = b.indexOf('data');
  const n = Math.floor((b.length - at - 8) / 2);
  const frame = RATE / 50;
  let frames = 0;
  for (let f = 0; f + frame <= n; f += frame) {
    const s = [];
    let energy = 0;
    for (let i = 0; i < frame; i++) { const v = b.readInt16LE(at + 8 + (f + i) * 2); s.push(v); energy += v * v; }
    if (energy / frame > 10000 && power(s, hz) * 2 > energy * 0.6) frames++;
  }
  return frames / 50;
}
