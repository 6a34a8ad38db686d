create table if not exists PUMP_FILES (
    pump varchar not null,
    file varchar not null,
    version varchar,
    state varchar not null,
    origin varchar not null,
    row_count number(38, 0),
    byte_count number(38, 0),
    sha256 varchar,
    reason varchar,
    run_id varchar,
    opened_at timestamp_ntz not null,
    closed_at timestamp_ntz
) comment = 'One row per CSV file (and version of its content): where it came from and how it ended';
create table if not exists PUMP_EXPORTS (
    pump varchar not null,
    file varchar not null,
    row_number number(38, 0) not null,
    key varchar not null,
    fingerprint varchar not null,
    exported_at timestamp_ntz not null
) comment = 'One row per contact put into a CSV file by the drop';
create table if not exists LEAD_SYNC_RESULTS (
    pump varchar not null,
    file varchar not null,
    version varchar not null,
    row_number number(38, 0) not null,
    status varchar not null,
    code varchar,
    reason varchar,
    lead_id number(38, 0),
    run_id varchar not null,
    recorded_at timestamp_ntz not null
) comment = 'One row per row of a CSV file and what became of it. Holds no personal data';
create table if not exists PUMP_FINGERPRINTS (
    pump varchar not null,
    key varchar not null,
    fingerprint varchar,
    acknowledged_at timestamp_ntz,
    refused_fingerprint varchar,
    refused_mapping varchar,
    refused_code varchar,
    refused_at timestamp_ntz
) comment = 'One row per contact: the hash of the mapped values that Marketo last accepted, and of those it last refused';
create table if not exists DUPLICATE_LEADS (
    pump varchar not null,
    key varchar not null,
    run_id varchar not null,
    file varchar not null,
    version varchar not null,
    row_number number(38, 0) not null,
    lead_ids varchar not null,
    chosen_ids varchar not null,
    policy varchar not null,
    recorded_at timestamp_ntz not null
) comment = 'One row per key that several leads hold: their ids, the ones written, and by which policy';
create table if not exists SYNC_CONTACTS (
    pump varchar not null,
    contact_key varchar not null,
    lead_id number(38, 0) not null,
    state varchar not null,
    reason varchar,
    contact_fingerprint varchar not null,
    lead_hash varchar not null,
    bases varchar not null,
    run_id varchar not null,
    synced_at timestamp_ntz not null
) comment = 'One row per contact that has a lead, kept in step by the sync: linked, lost (its lead is gone) or gone (it is)'
