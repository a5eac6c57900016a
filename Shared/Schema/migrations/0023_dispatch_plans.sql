-- dispatch: what let a look walk over a whole table (Tests/Dispatch/PlanTests, Tests/Intake/PlanTests).

-- The report that a dead letter speaks of, kept beside it: asked for with each look at a tracking code. An index on the
-- function would not do, since row-level security lets none be searched by a function that is not LEAKPROOF.
ALTER TABLE dispatch.dead_letter ADD COLUMN report_id uuid
    GENERATED ALWAYS AS (CASE WHEN type = 'report.received.v1' THEN dispatch.api_dead_report(body) END) STORED;
CREATE INDEX dead_letter_report ON dispatch.dead_letter (report_id) WHERE report_id IS NOT NULL;

CREATE OR REPLACE VIEW dispatch.api_report_state AS
SELECT report_id, district_id, outcome, case_id, reason, decided_at
FROM dispatch.report_state
UNION ALL
SELECT d.report_id, d.district_id, 'dead', NULL, d.reason, d.dead_at
FROM dispatch.dead_letter d
WHERE d.report_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM dispatch.report_state s WHERE s.report_id = d.report_id);

-- The loans of a district that hold: asked for with each emergency's candidates. Those that are over stay for the record.
CREATE INDEX crew_loan_district ON dispatch.crew_loan (district_id, until);
