// SPDX-License-Identifier: GPL-2.0-or-later
// What must be reported, against what was. An expected event is {type, <path>: <matcher>…}, the paths within data:
//
//     "hangup.by": "caller"      equal (lists and objects too)
//     "answered_at": "*"         there, and known
//     "outcome": null            not there, or unknown
//     {"ge": 1, "le": 5}         a number in that range
//     {"re": "^sip:"}            a text that matches
//     {"callIdOf": "transfer"}   the call_id of the call of that name
//
// {"anyOrder": [event, …]} stands for those events in whatever order. An event's sequence is its place in the list.

/** Replaces {name} in every text of a value. */
export function fill(value, names) {
  if (typeof value === 'string') {
    return value.replace(/\{(\w+)\}/g, (all, n) => {
      if (!(n in names)) throw new Error(`${all} is not known here: ${Object.keys(names).join(', ')}`);
      return names[n];
    });
  }
  if (Array.isArray(value)) return value.map((v) => fill(v, names));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, names)]));
  return value;
}

export function valueAt(data, path) {
  let v = data;
  for (const key of path.split('.')) v = v?.[key];
  return v;
}

/** '' if it matches, or what was found. */
export function mismatch(want, got, callIds = {}) {
  const found = got === undefined ? 'nothing' : JSON.stringify(got);
  const unknown = got === undefined || got === null;
  if (want === '*') return unknown ? found : '';
  if (want === null) return unknown ? '' : found;
  if (typeof want === 'object' && !Array.isArray(want)) {
    if ('callIdOf' in want) {
      const id = callIds[want.callIdOf];
      return id !== undefined && got === id ? '' : `${found}, and the call "${want.callIdOf}" is ${id ?? 'not there'}`;
    }
    if ('re' in want) return typeof got === 'string' && new RegExp(want.re).test(got) ? '' : found;
    if ('ge' in want || 'le' in want) return typeof got === 'number' && got >= (want.ge ?? -Infinity) && got <= (want.le ?? Infinity) ? '' : found;
  }
  return JSON.stringify(want) === JSON.stringify(got) ? '' : found;
}

function eventProblems(want, got, callIds) {
  const problems = [];
  if (want.type !== got.type) problems.push(`type: expected ${want.type}, found ${got.type}`);
  for (const [path, matcher] of Object.entries(want)) {
    if (path === 'type') continue;
    const bad = mismatch(matcher, valueAt(got.data, path), callIds);
    if (bad) problems.push(`${path}: expected ${JSON.stringify(matcher)}, found ${bad}`);
  }
  return problems;
}

/** Puts the events that stand in any order where they fit best; the rest is compared place by place. */
function arrange(expected, events, callIds) {
  const want = [];
  for (const e of expected) {
    if (!e.anyOrder) { want.push(e); continue; }
    const group = [...e.anyOrder];
    const from = want.length;
    for (let i = 0; i < e.anyOrder.length; i++) {
      const got = events[from + i];
      const fits = got ? group.findIndex((g) => eventProblems(g, got, callIds).length === 0) : -1;
      want.push(...group.splice(Math.max(fits, 0), 1));
    }
  }
  return want;
}

const brief = (e) => (e ? `${e.type}${e.data ? ` ${e.data.state ?? ''}` : ` ${e.state ?? ''}`}` : '');

/**
 * One call's events against what is expected of it.
 *
 * @param expected  events, anyOrder groups
 * @param events    what was received, in the order it came: {type, data}
 * @return what is wrong, one line each; [] if nothing is
 */
export function compareCall(expected, events, callIds) {
  const problems = [];
  const want = arrange(expected, events, callIds);
  events.forEach((e, i) => {
    if (e.data.sequence !== i + 1) problems.push(`event ${i + 1} (${e.type}) has sequence ${e.data.sequence}`);
    if (i > 0 && e.timestamp < events[i - 1].timestamp) problems.push(`event ${i + 1} (${e.type}) is of ${e.timestamp}, before the one in front of it`);
  });
  for (let i = 0; i < Math.max(want.length, events.length); i++) {
    if (!events[i]) problems.push(`event ${i + 1} is missing: ${want[i].type}`);
    else if (!want[i]) problems.push(`event ${i + 1} is one too many: ${brief(events[i])}`);
    else problems.push(...eventProblems(want[i], events[i], callIds).map((p) => `event ${i + 1} (${events[i].type}) ${p}`));
  }
  return problems;
}

/** Expected and received side by side. */
export function sideBySide(expected, events) {
  const want = expected.flatMap((e) => (e.anyOrder ? e.anyOrder.map((x) => ({ ...x, type: `~ ${x.type}` })) : [e]));
  const rows = [];
  for (let i = 0; i < Math.max(want.length, events.length); i++) {
    const mark = want[i] && events[i] && want[i].type.replace('~ ', '') === events[i].type ? ' ' : '!';
    rows.push(`  ${mark} ${String(i + 1).padStart(2)}  ${brief(want[i]).padEnd(34)} ${brief(events[i])}`);
  }
  return [`       ${'expected'.padEnd(34)} received`, ...rows].join('\n');
}

/** Counts such as {"INVITE": 1, "ACK": {"ge": 0}} against counts; `exact`: nothing else may be there. */
export function compareCounts(what, want, got, exact) {
  const problems = [];
  for (const [kind, matcher] of Object.entries(want)) {
    const bad = mismatch(matcher, got[kind] ?? 0);
    if (bad) problems.push(`${what} ${kind}: expected ${JSON.stringify(matcher)}, found ${bad}`);
  }
  if (exact) for (const [kind, n] of Object.entries(got)) if (!(kind in want) && !kind.startsWith('100 ')) problems.push(`${what} ${kind}: expected none, found ${n}`);
  return problems;
}
