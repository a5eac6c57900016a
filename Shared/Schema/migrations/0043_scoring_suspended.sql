-- scoring: rule 2 of timely handling, for the cases that are there. While a case is suspended its clocks stand still, so
-- it turns late at no time of its own; of all others rule 2 says what rule 1 said. With this a rebuild from the
-- histories equals the live ledger again.
SELECT set_config('sluice.districts', '*', true);
UPDATE scoring.case_fact
SET rule_version = 2, late_at = CASE WHEN state = 'suspended' AND verdict = 'pending' THEN NULL ELSE late_at END
WHERE rule_version = 1;
