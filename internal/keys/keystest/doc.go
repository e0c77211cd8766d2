// Package keystest is doubles of key services and secret systems, for tests: Vault's
// transit engine and its KV version 2, AWS KMS, Google Cloud KMS and Azure Key Vault.
// Each answers as the service's documentation says, verifies what the caller signs or
// shows by steps of its own, and fails the test that asks what the real one would not
// understand.
//
// It is no test of the real services: where a double and its documentation differ,
// the double is wrong.
package keystest
