package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenure-gateway/tenure"
)

// unordered tells that a transaction failed only because of others that ran at
// the same time: it is begun anew.
func unordered(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "40001" || pe.Code == "40P01")
}

// isServerError tells what the server has answered from what kept it from
// answering.
func isServerError(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && !strings.HasPrefix(pe.Code, "57P")
}

// busy is the answer while somebody else holds what is needed.
func busy(err error) error {
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "database_busy", RetryAfter: time.Second,
		Msg: "the database is busy; try again", Err: err,
	}
}

// classifyPostgres turns what the server or the way to it says into the kinds that
// the product knows (PostgreSQL, appendix A). Errors that are classified already,
// and those that a transaction is begun anew for, pass through.
func classifyPostgres(err error) error {
	if err == nil || errors.Is(err, errUnique) || errors.Is(err, errEnough) {
		return err
	}
	var own *tenure.Error
	if errors.As(err, &own) {
		return err
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return classifyCode(pe, err)
	}
	var connect *pgconn.ConnectError
	var parse *pgconn.ParseConfigError
	switch {
	case errors.As(err, &parse):
		return err
	case errors.As(err, &connect), pgconn.Timeout(err), pgconn.SafeToRetry(err), isNetwork(err):
		if errors.Is(err, context.Canceled) {
			return err
		}
		return unavailable(err)
	}
	return err
}

func classifyCode(pe *pgconn.PgError, err error) error {
	switch pe.Code {
	case "23505":
		return fmt.Errorf("%w: %w", errUnique, err)
	case "53100":
		return &tenure.Error{
			Kind: tenure.InsufficientSpace, Code: "database_full",
			Msg: "the disk that holds the database is full", Err: err,
		}
	case "55P03", "57014": // a lock, or the time of a statement
		return busy(err)
	case "54000", "22001":
		return &tenure.Error{Kind: tenure.Invalid, Code: "too_long", Msg: "a value is too long to be stored", Err: err}
	case "22021", "22P05":
		return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_text", Msg: "a text has a character that cannot be stored, such as NUL", Err: err}
	case "25006": // what was the primary is a standby by now
		return unavailable(err)
	}
	switch pe.Code[:2] {
	case "55": // what is needed is in use, or not ready yet
		return busy(err)
	case "08", "53", "57", "58", "XX":
		return unavailable(err)
	}
	return err
}

// isNetwork tells that the way to the server broke.
func isNetwork(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func unavailable(err error) error {
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "database_unavailable", RetryAfter: time.Second,
		Msg: "the database does not answer", Err: err,
	}
}
