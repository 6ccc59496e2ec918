package handlers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/webhook"
)

const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotent-Replayed"

	maxKey = 255
	// minPublicKey keeps strangers from guessing each other's keys.
	minPublicKey = 22
	// keepTime bounds the writing of an answer whose caller may be gone.
	keepTime = 5 * time.Second
)

// once runs a call: with an idempotency key a second time only if the first had no effect worth repeating.
func (a api) once(c echo.Context, call apiCall, who access.Caller) error {
	keys := c.Request().Header.Values(headerKey)
	if len(keys) == 0 {
		return call.run(a, c, who)
	}
	if len(keys) > 1 || !goodKey(keys[0], who.Merchant == "") {
		return errKeyForm
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	request := c.Request().Clone(c.Request().Context())
	request.Body = io.NopCloser(bytes.NewReader(body))
	sum, err := fingerprint(request)
	if err != nil {
		return err
	}
	c.Request().Body = io.NopCloser(bytes.NewReader(body))
	scope := keyScope(call, who, body)
	hash := sha256.Sum256([]byte(scope + "\x00" + keys[0]))
	who.Once = hash[:]
	running, first, err := a.Access.Idempotent(c.Request().Context(), scope, keys[0], sum[:])
	switch {
	case err != nil:
		if replyStatus(err) == http.StatusConflict {
			c.Response().Header().Set("Retry-After", "2")
		}
		return err
	case first != nil:
		c.Response().Header().Set(headerReplayed, "true")
		return c.Blob(first.Status, first.ContentType, a.reveal(c.Request().Context(), call, who, first.Body))
	}
	return a.keep(c, call, running, func() error { return call.run(a, c, who) })
}

func replyStatus(err error) int {
	r, _ := replyTo(err)
	return r.status
}

func goodKey(key string, public bool) bool {
	if key == "" || len(key) > maxKey || public && len(key) < minPublicKey {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}

// keyScope is within what a key must be unique: a shop and its mode, or for public calls the route and its target.
func keyScope(call apiCall, who access.Caller, body []byte) string {
	switch {
	case who.Merchant != "" && who.Livemode:
		return string(who.Merchant) + " live"
	case who.Merchant != "":
		return string(who.Merchant) + " test"
	}
	var target struct {
		Link  string     `json:"link_token"`
		Items []wantJSON `json:"items"`
	}
	_ = json.Unmarshal(body, &target) // whatever cannot be read is refused by the call itself
	if _, err := id.ParseToken(target.Link); err == nil {
		return call.path + " " + target.Link
	}
	if len(target.Items) > 0 {
		if item, err := id.Parse[id.Item](target.Items[0].ItemID); err == nil {
			return call.path + " " + string(item)
		}
	}
	return call.path + " ?"
}

// keep runs the call and stores its answer before anybody sees it, so that a lost connection loses nothing.
func (a api) keep(c echo.Context, call apiCall, running *access.Idempotency, run func() error) error {
	draft, problem := a.rehearse(c, run)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), keepTime)
	defer cancel()
	var err error
	if repeatable(draft.status) {
		err = running.Keep(ctx, access.Answer{
			Status: draft.status, ContentType: draft.header.Get(echo.HeaderContentType), Body: a.conceal(call, draft.body.Bytes()),
		})
	} else {
		err = running.Forget(ctx)
	}
	if err != nil {
		slog.ErrorContext(ctx, "answer to an idempotency key is not stored", "request_id", requestID(c), "error", err)
	}
	c.Response().WriteHeader(draft.status)
	if _, err := c.Response().Write(draft.body.Bytes()); err != nil {
		return err
	}
	return problem
}

// rehearse runs a call without sending its answer, also that of an error.
func (a api) rehearse(c echo.Context, run func() error) (*answer, error) {
	stage := c.Response()
	defer c.SetResponse(stage)
	draft := &answer{header: stage.Header(), status: http.StatusOK}
	c.SetResponse(echo.NewResponse(draft, c.Echo()))
	problem := run()
	if problem != nil {
		a.fail(problem, c)
	}
	return draft, problem
}

// repeatable tells whether an answer stands: all others invite the caller to try again.
func repeatable(status int) bool {
	switch status {
	case http.StatusAccepted, http.StatusPaymentRequired, http.StatusConflict, http.StatusTooManyRequests:
		return false
	default:
		return status < http.StatusInternalServerError
	}
}

// conceal takes out of an answer that is kept what is stored nowhere in clear: a buyer's token, a code's, a signing secret.
func (a api) conceal(call apiCall, body []byte) []byte {
	body = rewrite(call, body, func(s *sessionJSON) bool { s.PayURL = ""; return s.PaymentAttempt != "" })
	body = rewrite(call, body, func(b *bypassJSON) bool { b.BypassToken = ""; return !b.ExpiresAt.IsZero() })
	return rewrite(call, body, func(s *webhookSecretJSON) bool { s.Secret = ""; return s.ID != "" })
}

// reveal puts it back: tokens can be derived again, and the secret is sealed with its webhook. A secret that signs
// no longer stays away.
func (a api) reveal(ctx context.Context, call apiCall, who access.Caller, body []byte) []byte {
	body = rewrite(call, body, func(s *sessionJSON) bool {
		if s.PaymentAttempt == "" {
			return false
		}
		p, err := a.Checkout.Purchase(ctx, s.PaymentAttempt)
		if err != nil {
			slog.ErrorContext(ctx, "purchase of a kept answer", "attempt", s.PaymentAttempt, "error", err)
			p.ID = s.PaymentAttempt
		}
		s.PayURL = a.payURL(ctx, p.Attempt)
		return true
	})
	body = rewrite(call, body, func(b *bypassJSON) bool {
		b.BypassToken = shop.OnceBypass(who.Once)
		return !b.ExpiresAt.IsZero()
	})
	return rewrite(call, body, func(s *webhookSecretJSON) bool {
		if s.ID == "" {
			return false
		}
		secret, err := a.Webhooks.SecretAgain(ctx, who.Merchant, who.Livemode, s.ID, who.Once)
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			slog.ErrorContext(ctx, "secret of a kept answer", "subscription", s.ID, "error", err)
		}
		s.Secret = secret
		return true
	})
}

// rewrite changes a kept answer of one type; change tells whether it is one, and not an error.
func rewrite[T any](call apiCall, body []byte, change func(*T) bool) []byte {
	if _, ok := call.answer.(T); !ok {
		return body
	}
	var v T
	if err := json.Unmarshal(body, &v); err != nil || !change(&v) {
		return body
	}
	out, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return append(out, '\n')
}

// payURL is a purchase's address with its buyer's token.
func (a api) payURL(ctx context.Context, of checkout.Attempt) string {
	return a.PublicURL + views.PurchasePath(string(of.ID), a.Checkout.BuyerToken(ctx, of))
}

// answer is a response that is not sent yet; its header is that of the response to come.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answer) Header() http.Header                { return w.header }
func (w *answer) WriteHeader(status int)             { w.status = status }
func (w *answer) Write(text []byte) (n int, _ error) { return w.body.Write(text) }
