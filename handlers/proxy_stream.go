package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
)

// callFirst is a call that is paid for before the seller's server is asked. Its answer is handed on as it comes.
func (h *Handlers) callFirst(c echo.Context, a paidCall, calling checkout.Calling) error {
	called, turn, err := h.Checkout.CallFirst(c.Request().Context(), calling)
	if err != nil {
		return h.callRefused(c, a, calling.Payment, called, err)
	}
	h.nameCall(c, called, calling.Payment)
	if turn == nil {
		return sendAnswer(c, called.Answer)
	}
	return h.takeTurn(c, a, called.Purchase, *turn)
}

// takeTurn asks the seller's server for a call that is paid.
func (h *Handlers) takeTurn(c echo.Context, a paidCall, purchase checkout.Purchase, turn checkout.Turn) error {
	// Whoever paid may come again for what he did not see: the call goes on without him, as long as it may.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), a.endpoint.Timeout)
	defer cancel()
	answer, err := h.passOn(ctx, c, a, turn.Paying)
	ending, end := context.WithTimeout(context.WithoutCancel(c.Request().Context()), endTimeout)
	defer end()
	var noted error
	if err != nil || answer.Status >= http.StatusBadRequest {
		noted = h.Checkout.CallFailed(ending, purchase, turn, answer.Status)
	} else {
		noted = h.Checkout.CallAnswered(ending, purchase, turn, answer)
	}
	if noted != nil {
		slog.ErrorContext(ctx, "a paid call", "attempt", purchase.ID, "error", noted)
	}
	return breakOff(c, err)
}

// endTimeout is what the last words of a call may take.
const endTimeout = 10 * time.Second

// callByPass is a call that is paid for already.
func (h *Handlers) callByPass(c echo.Context, a paidCall, pass checkout.Pass) error {
	if err := a.endpoint.Open(); err != nil {
		return err
	}
	if pass.CallsLeft != nil {
		return h.callOnce(c, a, pass)
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), a.endpoint.Timeout)
	defer cancel()
	_, err := h.passOn(ctx, c, a, checkout.Paying{Payer: common.HexToAddress(pass.Payer)})
	return breakOff(c, err)
}

// callOnce makes the one call of a pass. The pass is spent once the seller's server has answered well, or its program has left
// with some of the answer; it stays where that server has not answered, also where this process does not live to see it.
func (h *Handlers) callOnce(c echo.Context, a paidCall, pass checkout.Pass) error {
	ctx := context.WithoutCancel(c.Request().Context()) // whoever leaves has used his pass
	hold, err := h.Checkout.HoldPass(ctx, pass, a.endpoint)
	if errors.Is(err, checkout.ErrPass) {
		want, err := h.Checkout.QuoteCall(ctx, a.endpoint, a.offer, a.resource)
		if err != nil {
			return err
		}
		return h.askForCall(c, a, want, "The pass is used.")
	}
	if err != nil {
		return err
	}
	calling, cancel := context.WithTimeout(ctx, a.endpoint.Timeout)
	defer cancel()
	answer, err := h.askOrPassOn(calling, c, a, common.HexToAddress(pass.Payer))
	ending, end := context.WithTimeout(ctx, endTimeout)
	defer end()
	answered := err == nil && answer.Status < http.StatusBadRequest || errors.Is(err, errBrokenOff) && !errors.Is(err, checkout.ErrUpstream)
	if err := h.Checkout.EndPassCall(ending, hold, answered); err != nil {
		slog.ErrorContext(ctx, "a call with a pass", "endpoint", a.endpoint.ID, "pass", pass.ID, "error", err)
	}
	if err != nil || c.Response().Committed {
		return breakOff(c, err)
	}
	return sendAnswer(c, answer)
}

// passOn hands an answer on as it comes, and returns it as far as it may be kept: beyond that its body is longer than any
// that is. Errors: those of [checkout.Calling.Upstream], and [errBrokenOff] once the program has some of it.
func (h *Handlers) passOn(ctx context.Context, c echo.Context, a paidCall, of checkout.Paying) (checkout.Answer, error) {
	response, err := h.forward(ctx, c.Request(), a, of)
	if err != nil {
		return checkout.Answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	answer := checkout.Answer{Status: response.StatusCode, Header: answerHeader(response.Header)}
	if response.ContentLength > a.endpoint.MaxAnswer && c.Request().Method != http.MethodHead {
		return checkout.Answer{}, checkout.ErrUpstreamLarge
	}
	if err := a.use(answer); err != nil {
		return checkout.Answer{}, err
	}
	writeHead(c, answer.Header)
	c.Response().WriteHeader(answer.Status)
	answer.Body, err = h.copyAnswer(c, io.LimitReader(response.Body, a.endpoint.MaxAnswer+1), a.endpoint.MaxAnswer)
	if err != nil {
		return checkout.Answer{}, fmt.Errorf("%w: %w", errBrokenOff, err)
	}
	return answer, nil
}

// errBrokenOff is returned for an answer that broke off when some of it was handed on.
var errBrokenOff = errors.New("handlers: the answer broke off")

// breakOff breaks the program's connection off where its answer did, so that it is not taken for whole.
func breakOff(c echo.Context, err error) error {
	if !errors.Is(err, errBrokenOff) {
		return err
	}
	slog.WarnContext(c.Request().Context(), "a paid API", "request_id", requestID(c), "error", err)
	panic(http.ErrAbortHandler)
}

// streamPart is how much of an answer is handed on at a time.
const streamPart = 32 << 10

// copyAnswer copies a body to the program, also after it has gone, while the body may still be kept.
func (h *Handlers) copyAnswer(c echo.Context, from io.Reader, most int64) (kept []byte, err error) {
	part, sent, gone := make([]byte, streamPart), int64(0), error(nil)
	flusher := http.NewResponseController(c.Response())
	for {
		n, err := from.Read(part)
		if sent += int64(n); sent > most {
			return nil, checkout.ErrUpstreamLarge
		}
		if len(kept) <= checkout.MaxKept {
			kept = append(kept, part[:n]...)
		}
		if n > 0 && gone == nil {
			h.awaitReader(c)
			if _, gone = c.Response().Write(part[:n]); gone == nil {
				_ = flusher.Flush()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return kept, nil
		case err != nil:
			return nil, upstreamError(err)
		case gone != nil && sent > checkout.MaxKept:
			return nil, gone
		}
	}
}
