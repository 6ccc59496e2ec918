package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// The classes of what can go wrong with a call.
const (
	ClassRefused     = "refused"     // not called: see [Refused]
	ClassDNS         = "dns"         // the name could not be looked up
	ClassConnect     = "connect"     // nothing accepted the connection within 3 s
	ClassTLS         = "tls"         // no handshake within 5 s, or no certificate for this name
	ClassTimeout     = "timeout"     // connected, but the whole answer was not there in time
	ClassRedirect    = "redirect"    // for callers: an answer with a status of 300 to 399, which is no error here
	ClassTooLarge    = "too_large"   // more than 64 KiB of headers
	ClassReset       = "reset"       // the server hung up before the end of its answer
	ClassProtocol    = "protocol"    // the answer was not HTTP
	ClassInterrupted = "interrupted" // the caller gave up
)

// Class sorts an error of [Client.Post]; it is empty for nil.
func Class(err error) string {
	var refused *Refused
	var dial *dialError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return ClassRefused
	case errors.Is(err, context.Canceled):
		return ClassInterrupted
	case errors.As(err, &dial):
		return dial.class
	case isTimeout(err):
		return ClassTimeout
	case isReset(err):
		return ClassReset
	case strings.Contains(err.Error(), "response headers exceeded"): // the transport has no name for it
		return ClassTooLarge
	default:
		return ClassProtocol
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

func isReset(err error) bool {
	for _, reset := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, net.ErrClosed} {
		if errors.Is(err, reset) {
			return true
		}
	}
	return false
}
