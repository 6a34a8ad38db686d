create table if not exists SYNC_OBJECTS (
    object_name varchar not null,
    key varchar not null,
    sent_key varchar not null,
    marketo_id varchar,
    fingerprint varchar,
    acknowledged_at timestamp_ntz,
    state varchar not null,
    tried_fingerprint varchar not null,
    tried_mapping varchar not null,
    tried_at timestamp_ntz not null,
    code varchar,
    reason varchar,
    waiting_since timestamp_ntz,
    try_after timestamp_ntz,
    run_id varchar not null
) comment = 'One row per company or custom object: the hash of the mapped values that Marketo last accepted, and how the last try ended';
create table if not exists SYNC_OBJECT_TYPES (
    object_name varchar not null,
    definition varchar,
    accepted_types varchar not null,
    described_at timestamp_ntz,
    problem varchar,
    try_after timestamp_ntz,
    run_id varchar not null
) comment = 'One row per company or custom object of marketo.yaml: how Describe last showed its type, or why it is let alone until try_after'
