// SPDX-License-Identifier: GPL-2.0-or-later
// Every link of the documentation to a file of the project leads somewhere, to the heading it names if it names one.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { test } from '../lib/test.mjs';

const pages = ['README.md', 'sipp-scenarios/README.md', ...fs.readdirSync(path.join(ROOT, 'docs')).filter((f) => f.endsWith('.md')).map((f) => `docs/${f}`)];
const prose = (text) => text.replace(/^```.*?^```$/gms, '');
const anchor = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');

test('docs_links_lead_somewhere', () => {
  const broken = [];
  let seen = 0;
  for (const page of pages) {
    const text = fs.readFileSync(path.join(ROOT, page), 'utf8');
    for (const [, link] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      seen++;
      const [file, id] = link.split('#');
      const to = file ? path.join(ROOT, path.dirname(page), file) : path.join(ROOT, page);
      if (!fs.existsSync(to)) broken.push(`${page}: ${link}: no such file`);
      else if (id && ![...prose(fs.readFileSync(to, 'utf8')).matchAll(/^#+ (.*)$/gm)].some((m) => anchor(m[1]) === id)) broken.push(`${page}: ${link}: no such heading`);
    }
  }
  assert.ok(seen > 20, `only ${seen} links were found: this test must follow the pages`);
  assert.deepEqual(broken, []);
});
