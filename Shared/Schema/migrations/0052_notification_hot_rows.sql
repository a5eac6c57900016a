-- Room on the page for the snapshots that follow a case's first one.
ALTER TABLE notification.case_held SET (fillfactor = 60);
