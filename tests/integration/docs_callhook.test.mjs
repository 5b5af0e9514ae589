// SPDX-License-Identifier: GPL-2.0-or-later
// The reference of callhook against the tables in its code and its schema: what one has and the other lacks is a failure.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { test } from '../lib/test.mjs';

const DOC = 'docs/callhook.md';
const MOD = 'modules/callhook/callhook_mod.c';
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

function part(file, from, to) {
  const text = read(file);
  const a = text.indexOf(from);
  assert.ok(a >= 0, `${file}: "${from}" is not there: this test must follow the code`);
  const b = text.indexOf(to, a + from.length);
  return text.slice(a, b < 0 ? undefined : b);
}

function all(text, re, what) {
  const found = [...text.matchAll(re)].map((m) => m[1]);
  assert.ok(found.length > 0, `${what}: nothing was found: this test must follow the code`);
  return found;
}

/** Rows of the first table under a heading, cells without backticks. */
function rows(heading, doc = DOC) {
  const lines = part(doc, `\n## ${heading}\n`, '\n## ').split('\n');
  const from = lines.findIndex((l) => l.startsWith('|---'));
  assert.ok(from > 0, `${doc}: no table under "${heading}"`);
  const rest = lines.slice(from + 1);
  const end = rest.findIndex((l) => !l.startsWith('|'));
  return rest.slice(0, end < 0 ? undefined : end).map((l) => l.split('|').slice(1, -1).map((c) => c.trim().replaceAll('`', '')));
}

const first = (s) => s.split(/[\s(]/)[0];
const same = (documented, coded, what) => assert.deepEqual([...documented].sort(), [...coded].sort(), `${what}: ${DOC} and the code differ`);

test('docs_match_the_code_callhook_parameters', () => {
  const table = rows('Parameters');
  same(table.map((r) => r[0]), all(part(MOD, 'param_export_t params[]', '};'), /\{"(\w+)", *PARAM_/g, 'params[]'), 'parameters');
  const defaults = part(MOD, 'struct hook_params hook_params = {', '};').replace('SB_SCHEDULE_DEFAULT', part('modules/callhook/core/schedule.h', 'SB_SCHEDULE_DEFAULT', '\n').match(/"[^"]*"/)[0]);
  const bounds = part(MOD, '} bounds[] = {', '};');
  for (const [name, value, range] of table) {
    const d = defaults.match(new RegExp(`\\.${name} *= *(?:"([^"]*)"|(\\d+))`));
    assert.ok(d, `${MOD}: ${name} has no default`);
    assert.equal(value, d[1] ?? d[2], `default of ${name}: reference, code`);
    const b = bounds.match(new RegExp(`\\{"${name}",[^,]*, *(\\d+), *(\\d+)\\}`));
    assert.equal(range, b ? `${b[1]} to ${b[2]}` : '', `range of ${name}: reference, code`);
  }
});

/** Every file of the adapter that has such a table. */
const filesWith = (text) => fs.readdirSync(path.join(ROOT, 'modules/callhook')).filter((f) => f.endsWith('.c')).map((f) => `modules/callhook/${f}`).filter((f) => read(f).includes(text));

test('docs_match_the_code_callhook_functions_rpc_statistics', () => {
  same(rows('Functions').map((r) => first(r[0])), all(part(MOD, 'cmd_export_t cmds[]', '};'), /\{"(\w+)", *w_/g, 'cmds[]'), 'functions');
  const rpc = filesWith('rpc_export_t methods[]');
  assert.ok(rpc.length >= 3, 'RPC of delivery, call log and layer log: this test must follow the code');
  same(rows('RPC').map((r) => first(r[0])), rpc.flatMap((f) => all(part(f, 'rpc_export_t methods[]', '};'), /\{"([\w.]+)",/g, 'methods[]')), 'RPC');
  const stats = filesWith('_STATS(X) ');
  assert.ok(stats.length >= 3, 'statistics of delivery, call log and layer log: this test must follow the code');
  same(rows('Statistics').map((r) => r[0]), stats.flatMap((f) => all(read(f).match(/#define \w+_STATS\(X\)[^]*?\n\n/)[0], /X\((\w+), \S/g, f)), 'statistics');
});

/** Values, not names of fields. */
const VALUES = ['off', 'ok', 'failed', 'yes', 'running', 'reloaded', 'refused'];

/** The names that RPC functions give to what they answer. */
function fieldsOf(file) {
  const found = [];
  for (const [, args] of read(file).matchAll(/(?:struct_add|hook_rpc_time|add_time|number)\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)/g)) {
    const words = [...args.matchAll(/"([^"]*)"/g)].map((m) => m[1]);
    found.push(...words.filter((w) => /^[a-z]\w+$/.test(w) && !/^[sdfL{[]+$/.test(w) && !VALUES.includes(w)));
  }
  return [...new Set(found)];
}

test('docs_match_the_code_callhook_fields_of_rpc', () => {
  const commands = part(DOC, '\n## RPC\n', '\n\nCall them over');
  const shown = part(DOC, '\n| Of | Fields |\n', '\n\n');
  for (const [name, text] of [['hook_rpc.c', shown], ['hook_rpc_do.c', commands], ['hook_call_log.c', shown]]) {
    const file = `modules/callhook/${name}`;
    const fields = fieldsOf(file);
    assert.ok(fields.length > 10, `${file}: the fields were not found: this test must follow the code`);
    assert.deepEqual(fields.filter((n) => !text.includes(`\`${n}\``)), [], `${file} answers with these, ${DOC} lacks them`);
  }
  const page = read('docs/layer-log.md');
  assert.deepEqual(fieldsOf('modules/callhook/hook_layer_log.c').filter((n) => !page.includes(`\`${n}\``)), [], 'docs/layer-log.md lacks');
});

test('docs_match_the_code_callhook_table', () => {
  const table = rows('Endpoints');
  const schema = new Map([...part('db/schema/001_endpoint.sql', 'callhook_endpoint (\n', '{table}').matchAll(/^ {4}(\w+) (.*?),?$/gm)].map((m) => [m[1], m[2]]));
  for (const f of fs.readdirSync(path.join(ROOT, 'db/schema')).filter((n) => n.endsWith('.sql')).sort()) {
    for (const [, name, rest] of read(`db/schema/${f}`).matchAll(/^ALTER TABLE callhook_endpoint ADD COLUMN (?:\{new\} )?(\w+) (.*);$/gm)) schema.set(name, rest);
  }
  same(table.map((r) => r[0]), [...schema.keys()], 'columns');
  same(table.map((r) => r[0]), all(part('modules/callhook/core/endpoint.h', '#define SB_ENDPOINT_COLUMNS(X)', '\n\n'), /X\((\w+), +"/g, 'SB_ENDPOINT_COLUMNS'), 'columns');
  for (const [name, value] of table) {
    const d = schema.get(name).match(/DEFAULT '?([^' ]*)/);
    assert.equal(value, d?.[1] ?? '', `default of ${name}: reference, schema`);
  }
});

test('docs_match_the_code_callhook_files_of_state_dir', () => {
  const table = new Map(rows('Files in state_dir'));
  const schemas = { 'state.sqlite': 'state.c', 'call_log.sqlite': 'call_log_state.c', 'layer_log.sqlite': 'layer_store.c' };
  same([...table.keys()], [...Object.keys(schemas), 'database', 'deliveries/'], 'files');
  for (const [file, source] of Object.entries(schemas)) {
    const names = all(read(`modules/callhook/core/${source}`), /CREATE TABLE (?:IF NOT EXISTS )?(\w+)/g, source);
    assert.deepEqual(names.filter((n) => !new RegExp(`\\b${n}\\b`).test(table.get(file))), [], `${file}: tables that ${DOC} lacks`);
  }
});

test('docs_match_the_code_callhook_layer_log', () => {
  const PAGE = 'docs/layer-log.md';
  for (const [heading, filter] of [['Parameters', (r) => r[0].startsWith('layer_log')], ['Statistics', (r) => r[0].startsWith('layer_log')], ['RPC', (r) => r[0].includes('layer_log')]]) {
    const here = rows(heading).filter(filter);
    const there = rows(heading, PAGE);
    assert.ok(there.length > 0);
    same(there.map((r) => r[0]), here.map((r) => r[0]), `${heading}, ${PAGE}`);
    if (heading === 'Parameters') assert.deepEqual(there.map((r) => r.slice(0, 3)), here.map((r) => r.slice(0, 3)), `defaults and ranges: ${PAGE}, ${DOC}`);
  }
});
