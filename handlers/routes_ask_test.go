package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/static"
)

// kinds say which row each parameter of a path names.
var kinds = map[string]string{
	":link": "link", ":webhook": "webhook", ":delivery": "delivery", ":replay": "replay", ":attempt": "attempt", ":key": "key", ":person": "person",
	":invite": "invite", ":till": "till", ":passkey": "passkey", ":address": "address", ":session": "session",
	":upload": "picture", ":line": "line", ":batch": "code batch", ":endpoint": "endpoint", ":pass": "pass", ":slug": "slug", ":item": "item", ":sale": "sale", ":refund": "refund", ":exception": "exception", ":payout": "payout", "/dashboard/items/:item/keys": "list of keys",
	":number": "line", "/pos/:token": "link token", "/pos/:token/events": "link token",
	"/link/:token": "link token", "/link/:token/onward": "link token", "/api/link/:token": "link token", "/invite/:token": "invite token",
	"/api/payment_attempts/:id": "attempt", "/api/payment_attempts/:id/pay": "attempt",
	"/api/webhooks/deliveries/:id": "delivery", "/api/webhooks/replays/:id": "replay",
}

// target is a path with its parameters filled in.
func (w *accessWorld) target(path string, ids rows) string {
	w.t.Helper()
	switch path {
	case "/static/*":
		return static.URL("css/base.css")
	case "/api/events/types/:type":
		return "/api/events/types/payment.completed"
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if p == "*" {
			parts[i] = "anything"
		}
		if !strings.HasPrefix(p, ":") {
			continue
		}
		kind, ok := kinds[path]
		if !ok {
			kind, ok = kinds[p]
		}
		require.True(w.t, ok, "say what %s of %s names", p, path)
		parts[i] = url.PathEscape(ids(kind))
	}
	return strings.Join(parts, "/")
}

// content is what a request carries: a query, a form, a JSON object, or a form with a file.
type content struct {
	query, form url.Values
	json        object
	file        []byte
}

// ask makes one request, from an address of its own, as a program that takes JSON does.
func (w *accessWorld) ask(r rule, ids rows, carries content, more ...with) reply {
	w.t.Helper()
	target := w.target(r.path, ids)
	if len(carries.query) > 0 {
		target += "?" + carries.query.Encode()
	}
	var body io.Reader
	media := ""
	switch {
	case carries.json != nil:
		text, err := json.Marshal(carries.json)
		require.NoError(w.t, err)
		body, media = bytes.NewReader(text), "application/json"
	case carries.file != nil:
		body, media = withFile(w.t, carries.file)
	case !r.safe():
		body, media = strings.NewReader(carries.form.Encode()), "application/x-www-form-urlencoded"
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, site+target, body)
	request.Method = r.method // CONNECT would be read in another way
	w.asked++
	request.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", w.asked>>16&255, w.asked>>8&255, w.asked&255)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-Request-Id", "the-request")
	if media != "" {
		request.Header.Set("Content-Type", media)
	}
	for _, m := range more {
		m(request)
	}
	recorder := &passerBy{httptest.NewRecorder(), cancel}
	w.echo.ServeHTTP(recorder, request)
	return reply{w.t, recorder.Code, recorder.Header(), recorder.Body.Bytes()}
}

// readers are who takes an answer, by what they ask for.
var readers = map[string]with{"a program": header("Accept", "application/json"), "a page": page, "a script": header("HX-Request", "true")}

// withFile is a form with a file, as browsers send it.
func withFile(t *testing.T, content []byte) (body io.Reader, media string) {
	t.Helper()
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	part, err := m.CreateFormFile("file", "cup.png")
	require.NoError(t, err)
	_, err = part.Write(content)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	return &form, m.FormDataContentType()
}

// passerBy leaves a stream as soon as it has begun.
type passerBy struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
}

func (p *passerBy) Flush() {
	p.ResponseRecorder.Flush()
	p.leave()
}

// errorCode is the code of an answer that is an error in JSON.
func (r reply) errorCode() string {
	var v struct{ Error struct{ Code string } }
	if json.Unmarshal(r.body, &v) != nil {
		return ""
	}
	return v.Error.Code
}

// outcome is an answer in the words of the table.
func (r reply) outcome() string {
	code := r.errorCode()
	words := map[string]string{
		"role_forbids": "no", "forbidden": "no", "step_up_required": "confirm", "no_shop": "shop", "no_till": "pair", "signups_closed": "invited",
	}
	switch word, ok := words[code]; {
	case ok && r.status == http.StatusForbidden:
		return word
	case r.status == http.StatusUnauthorized && (code == "unauthorized" || code == ""):
		return "login"
	case r.status == http.StatusNotFound:
		return "none"
	case code == "payment_refused":
		return "proves"
	case slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusUnprocessableEntity}, r.status):
		return "proves"
	case r.status < 400, slices.Contains([]int{http.StatusPaymentRequired, http.StatusMethodNotAllowed, http.StatusConflict}, r.status):
		return "yes"
	}
	return fmt.Sprintf("%d %s", r.status, code)
}
