create table if not exists LEAD_CHANGES (
    marketo_guid varchar not null,
    activity_id number(38, 0),
    lead_id number(38, 0) not null,
    activity_date timestamp_ntz not null,
    activity_type_id number(38, 0) not null,
    fields varchar not null,
    losers varchar not null,
    run_id varchar not null,
    loaded_at timestamp_ntz not null,
    applied_at timestamp_ntz
) comment = 'One row per new lead, changed value, merge or delete in Marketo; fields: JSON of the new values by display or REST name';
create table if not exists LEADS (
    lead_id number(38, 0) not null,
    contact_key varchar,
    fields variant,
    field_times varchar not null,
    fields_hash varchar not null,
    as_of timestamp_ntz not null,
    merged_into number(38, 0),
    deleted_at timestamp_ntz,
    run_id varchar not null,
    loaded_at timestamp_ntz not null
) comment = 'The mirror: one row per lead in Marketo; fields an object by REST name, values as text; times in UTC';
create table if not exists COMPANY_CHANGES (
    external_company_id varchar not null,
    field varchar not null,
    new_value varchar,
    lead_id number(38, 0) not null,
    marketo_guid varchar not null,
    changed_at timestamp_ntz not null,
    run_id varchar not null
) comment = 'One row per change of a company in Marketo, seen through a lead that is linked to it';
create table if not exists SYNC_CONFLICTS (
    conflict_id varchar not null,
    pump varchar not null,
    contact_key varchar not null,
    lead_id number(38, 0) not null,
    field varchar not null,
    warehouse_hash varchar not null,
    marketo_hash varchar not null,
    winner varchar not null,
    rule varchar not null,
    run_id varchar not null,
    seen_at timestamp_ntz not null
) comment = 'One row per field that was changed on both sides since the last sync, and who won';
create table if not exists SYNC_WRITES (
    pump varchar not null,
    contact_key varchar not null,
    lead_id number(38, 0) not null,
    fields varchar not null,
    status varchar not null,
    code varchar,
    reason varchar,
    run_id varchar not null,
    written_at timestamp_ntz not null
) comment = 'One row per contact whose changes were sent to its lead, and what became of it. Holds no values'
