-- dispatch: the queue is looked at by district and set of skills, emergencies too, so that many cases that no crew can
-- take never stand before one that some crew could.
CREATE INDEX claim_queue_emergency_kinds
    ON dispatch.claim_queue (district_id, skill_key, verified DESC, severity DESC, since, case_id) WHERE emergency;
DROP INDEX dispatch.claim_queue_emergency;
CREATE INDEX crew_slot_on_shift ON dispatch.crew_slot (district_id) WHERE shift_id IS NOT NULL;

-- A crew that declined a case is not asked again; one that did not answer is asked again, after the others.
ALTER TABLE dispatch.claim_queue ADD COLUMN silent uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN dispatch.claim_queue.excluded IS 'Crews that declined the case, or that it was taken from';
COMMENT ON COLUMN dispatch.claim_queue.silent IS 'Crews that did not answer: routine work goes to them after the others';
