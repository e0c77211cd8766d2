// Package faults breaks what Tenure stands on, and looks from outside at what it then
// answers: a database that stops, hangs, goes back or is full, a network that is cut, a
// process that is killed, a provider that misbehaves. It owns the processes, the
// networks and the small disks that this takes, and takes all of them away again.
//
// It knows the built program only: it does not import the product, and speaks with it by
// HTTP, by signals, and by SQL typed as an operator types it. No traffic leaves this
// machine. TENURE_FAULTS=short runs what "make test" runs, TENURE_FAULTS=full
// everything; without it the package's tests do nothing. TENURE_BIN is the program.
package faults
