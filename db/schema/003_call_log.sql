-- SPDX-License-Identifier: GPL-2.0-or-later
-- The call log: one row a call, one a branch that was tried, one an event. NULL is unknown, or not yet.

CREATE TABLE IF NOT EXISTS callstate_call (
    call_id {uuid} PRIMARY KEY NOT NULL,
    sip_call_id VARCHAR(255) NOT NULL,
    node {uuid} NOT NULL,
    last_sequence INTEGER NOT NULL,
    state {key(16)} NOT NULL,
    direction {key(16)},
    from_number VARCHAR(64),
    to_number VARCHAR(64),
    -- digits backwards: an index finds the end of a number
    from_digits {key(32)},
    to_digits {key(32)},
    from_uri VARCHAR(255),
    from_name VARCHAR(128),
    to_uri VARCHAR(255),
    request_uri VARCHAR(255),
    source VARCHAR(64),
    did VARCHAR(64),
    flow VARCHAR(64),
    trunk VARCHAR(64),
    agent VARCHAR(64),
    started_at {time} NOT NULL,
    ringing_at {time},
    answered_at {time},
    ended_at {time},
    -- ended_at of a call that was not answered
    failed_at {time},
    duration_ms BIGINT,
    pdd_ms BIGINT,
    attempts INTEGER,
    outcome {key(16)},
    sip_code INTEGER,
    sip_reason VARCHAR(128),
    q850 INTEGER,
    hangup_by {key(16)},
    hangup_cause {key(32)},
    inferred INTEGER,
    transferred_from {uuid},
    transferred_to {uuid},
    -- JSON object of what the script and the CRM said
    attributes VARCHAR(4000)
){table};

-- Each serves one filter of `signalbox calls`, newest first; docs/calls.md has what they give.
CREATE INDEX IF NOT EXISTS callstate_call_started_idx ON callstate_call (started_at);
CREATE INDEX IF NOT EXISTS callstate_call_sip_idx ON callstate_call (sip_call_id);
CREATE INDEX IF NOT EXISTS callstate_call_from_idx ON callstate_call (from_digits, started_at);
CREATE INDEX IF NOT EXISTS callstate_call_to_idx ON callstate_call (to_digits, started_at);
CREATE INDEX IF NOT EXISTS callstate_call_trunk_idx ON callstate_call (trunk, started_at, answered_at, sip_code, outcome);
CREATE INDEX IF NOT EXISTS callstate_call_agent_idx ON callstate_call (agent, started_at, answered_at, sip_code, outcome);
CREATE INDEX IF NOT EXISTS callstate_call_did_idx ON callstate_call (did, started_at);
CREATE INDEX IF NOT EXISTS callstate_call_code_idx ON callstate_call (sip_code, started_at);
CREATE INDEX IF NOT EXISTS callstate_call_state_idx ON callstate_call (state, outcome, started_at);
CREATE INDEX IF NOT EXISTS callstate_call_failed_idx ON callstate_call (failed_at);

CREATE TABLE IF NOT EXISTS callstate_attempt (
    call_id {uuid} NOT NULL,
    n INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    uri VARCHAR(255),
    destination VARCHAR(128),
    trunk VARCHAR(64),
    agent VARCHAR(64),
    to_number VARCHAR(64),
    started_at {time},
    ringing_at {time},
    early_at {time},
    answered_at {time},
    ended_at {time},
    -- ended_at of a branch that failed by itself: not one that was cancelled, nor one that lost against another
    failed_at {time},
    pdd_ms BIGINT,
    code INTEGER,
    reason VARCHAR(128),
    -- 1: the code is the proxy's own (a timer, a send error); nothing was received
    code_local INTEGER,
    q850 INTEGER,
    PRIMARY KEY (call_id, n)
){table};

CREATE INDEX IF NOT EXISTS callstate_attempt_failed_idx ON callstate_attempt (failed_at);

CREATE TABLE IF NOT EXISTS callstate_event (
    -- node, epoch, sequence: the webhook-id
    event_id {key(64)} PRIMARY KEY NOT NULL,
    call_id {uuid} NOT NULL,
    sequence INTEGER NOT NULL,
    type {key(64)} NOT NULL,
    at {time} NOT NULL,
    state {key(16)} NOT NULL,
    attempt INTEGER,
    trunk VARCHAR(64),
    agent VARCHAR(64),
    by_party {key(16)},
    outcome {key(16)},
    cause {key(32)},
    inferred INTEGER,
    sip_method {key(32)},
    sip_code INTEGER,
    sip_reason VARCHAR(128),
    sip_cseq BIGINT,
    sip_branch VARCHAR(128),
    from_tag VARCHAR(128),
    to_tag VARCHAR(128),
    -- what the script said (custom events), the target of a transfer
    note VARCHAR(1000)
){table};

CREATE INDEX IF NOT EXISTS callstate_event_call_idx ON callstate_event (call_id, sequence);

INSERT {ignore} INTO version (table_name, table_version) VALUES ('callstate_call', 1);
INSERT {ignore} INTO version (table_name, table_version) VALUES ('callstate_attempt', 1);
INSERT {ignore} INTO version (table_name, table_version) VALUES ('callstate_event', 1);
