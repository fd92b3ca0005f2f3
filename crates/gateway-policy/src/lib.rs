//! Cedar schema, default policies, verdicts, remedies, why, can and who-can.
