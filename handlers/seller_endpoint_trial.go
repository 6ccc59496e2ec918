package handlers

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/x402"
	"xsynesis/x402/buyer"
)

func (h *Handlers) newTrial(c echo.Context, s seller) error {
	e, err := h.ownEndpoint(c, s)
	if err != nil {
		return err
	}
	v := h.trialView(c, s, e)
	v.Method.Value = http.MethodGet
	return h.Page(c, http.StatusOK, views.Trial(v))
}

func (h *Handlers) trialView(c echo.Context, s seller, e shop.Endpoint) views.TrialView {
	return views.TrialView{
		DashboardView: h.frame(c, s, "Try it", views.SectionEndpoints, false), Endpoint: e.ID, Title: e.Title, CallURL: h.callURL(e.ID), Price: e.Price,
		MayPay: h.TestPayer != nil && !e.Livemode,
	}
}

// createTrial calls a paid API as programs do, through the whole of this site, and shows what went to and fro. Real money is
// never spent: without a test wallet the price is asked for, and no more.
func (h *Handlers) createTrial(c echo.Context, s seller) error {
	e, err := h.ownEndpoint(c, s)
	if err != nil {
		return err
	}
	v := h.trialView(c, s, e)
	v.Method.Value, v.Path.Value, v.Body.Value = c.FormValue("method"), c.FormValue("path"), c.FormValue("body")
	request, err := trialRequest(c.Request().Context(), v)
	if errors.Is(err, errTrialPath) {
		v.Path.Problem = "Give a path such as /weather?days=2, or nothing."
		return h.Page(c, http.StatusUnprocessableEntity, views.Trial(v))
	}
	if err != nil {
		return err
	}
	within := &withinSite{site: c.Echo(), address: net.JoinHostPort(c.RealIP(), "0")}
	answer, err := h.makeTrial(within, e, v.MayPay, request) //nolint:bodyclose // it is in memory
	v.Steps = within.steps
	v.Outcome, v.Worked = trialOutcome(v, answer, err)
	if err != nil {
		slog.InfoContext(c.Request().Context(), "a trial", "endpoint", e.ID, "error", err)
	}
	return h.Page(c, http.StatusOK, views.Trial(v))
}

// errTrialPath is the mistake of something that cannot follow an address.
var errTrialPath = errors.New("handlers: no path")

func trialRequest(ctx context.Context, v views.TrialView) (*http.Request, error) {
	path := strings.TrimSpace(v.Path.Value)
	if path != "" && path[0] != '/' && path[0] != '?' || strings.ContainsAny(path, "# ") {
		return nil, errTrialPath
	}
	if !slices.Contains(callMethods, v.Method.Value) {
		return nil, echo.ErrBadRequest
	}
	var body io.Reader
	if v.Body.Value != "" {
		body = strings.NewReader(v.Body.Value)
	}
	r, err := http.NewRequestWithContext(ctx, v.Method.Value, v.CallURL+path, body)
	if err != nil {
		return nil, errors.Join(errTrialPath, err)
	}
	r.Header.Set("Accept", "*/*")
	r.Header.Set("User-Agent", "xSynesis-trial")
	if json.Valid([]byte(v.Body.Value)) {
		r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	}
	return r, nil
}

// makeTrial sends the request, and pays where there is a test wallet.
func (h *Handlers) makeTrial(within *withinSite, e shop.Endpoint, pays bool, r *http.Request) (*http.Response, error) {
	if !pays {
		return within.RoundTrip(r)
	}
	program, err := buyer.New(buyer.Options{
		Wallet: h.TestPayer, Limits: buyer.Limits{Request: e.Price, Day: e.Price}, Tokens: []x402.Token{e.Network.Token}, Base: within, Now: h.Now,
	})
	if err != nil {
		return nil, err
	}
	return program.RoundTrip(r)
}

const brokeOff = "The answer broke off."

// trialOutcome says in one sentence what became of a trial.
func trialOutcome(v views.TrialView, answer *http.Response, err error) (sentence string, worked bool) {
	switch {
	case errors.Is(err, buyer.ErrNoChoice):
		return "The test wallet cannot pay this: it has no money on this network.", false
	case err != nil && len(v.Steps) > 0 && v.Steps[len(v.Steps)-1].Problem != "":
		return brokeOff, false
	case err != nil:
		return "The trial could not be made. Whoever runs the gateway finds the reason in its log.", false
	}
	receipt, told := x402.ReadReceipt(answer.Header)
	status := strconv.Itoa(answer.StatusCode) + " " + http.StatusText(answer.StatusCode)
	switch {
	case told && receipt.Success && answer.StatusCode < http.StatusBadRequest:
		return "Paid " + v.Price.Grouped() + " USDC, and answered: " + status + ".", true
	case told && receipt.Success:
		return "It was paid first, and then answered with " + status + ". The same payment may ask again.", false
	case answer.StatusCode == http.StatusPaymentRequired && len(v.Steps) == 1:
		return "It costs " + v.Price.Grouped() + " USDC. Nothing was paid.", true
	case answer.StatusCode == http.StatusServiceUnavailable && len(v.Steps) > 1:
		return "The network has not answered yet. Nobody has to pay again.", false
	default:
		return "It was answered with " + status + ". Nothing was charged.", false
	}
}

// withinSite sends requests to this site without a network, and writes down what went to and fro.
type withinSite struct {
	site    http.Handler
	address string // whose requests they are
	steps   []views.TrialStep
}

// shownOfBody is how much of a body a trial shows.
const shownOfBody = 8 << 10

// RoundTrip implements [http.RoundTripper].
func (s *withinSite) RoundTrip(r *http.Request) (*http.Response, error) {
	step := views.TrialStep{Name: s.nameOf(r), Method: r.Method, Path: r.URL.RequestURI(), Sent: append([]views.Header{{Name: "Host", Value: r.URL.Host}}, headersOf(r.Header)...)}
	in := r.Clone(r.Context())
	in.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	in.Host, in.RequestURI, in.RemoteAddr = r.URL.Host, r.URL.RequestURI(), s.address
	if r.Body == nil {
		in.Body = http.NoBody
	} else {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		in.Body, step.SentBody = io.NopCloser(bytes.NewReader(body)), string(body[:min(len(body), shownOfBody)])
	}
	w := &keptAnswer{header: http.Header{}}
	if broken := serve(s.site, w, in); broken != nil {
		step.Problem = brokeOff
		s.steps = append(s.steps, step)
		return nil, broken
	}
	answer := w.answer(r)
	body := w.body.Bytes()
	step.Status, step.Got = answer.Status, headersOf(answer.Header)
	step.GotBody, step.Cut = body[:min(len(body), shownOfBody)], w.cut || len(body) > shownOfBody
	step.Spelled = append(inJSON(r.Header), inJSON(answer.Header)...)
	s.steps = append(s.steps, step)
	return answer, nil
}

// nameOf says what a request is, among those of its trial.
func (s *withinSite) nameOf(r *http.Request) string {
	switch {
	case !carriesPayment(r):
		return "Asked without a payment"
	case len(s.steps) > 1:
		return "Asked again with the same payment"
	default:
		return "Asked with the payment"
	}
}

// errBrokenAnswer is what a client sees of an answer that breaks off.
var errBrokenAnswer = errors.New("handlers: the connection was broken off")

// serve answers a request; a connection that a handler breaks off is an error here.
func serve(site http.Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch broken := recover(); broken {
		case nil:
		case http.ErrAbortHandler:
			err = errBrokenAnswer
		default:
			panic(broken)
		}
	}()
	site.ServeHTTP(w, r)
	return nil
}

// keptAnswer is a [http.ResponseWriter] that keeps the beginning of what it is told.
type keptAnswer struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
	cut          bool
}

// mostKept holds any offer.
const mostKept = 256 << 10

func (w *keptAnswer) Header() http.Header { return w.header }

func (w *keptAnswer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *keptAnswer) Write(part []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	fits := min(len(part), mostKept-w.body.Len())
	w.cut = w.cut || fits < len(part)
	w.body.Write(part[:fits])
	return len(part), nil
}

// Flush implements [http.Flusher]: nothing waits here.
func (w *keptAnswer) Flush() {}

// answer is what a client would have got.
func (w *keptAnswer) answer(to *http.Request) *http.Response {
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: io.NopCloser(bytes.NewReader(w.body.Bytes())), ContentLength: int64(w.body.Len()), Request: to,
	}
}

// headersOf lists headers by their names.
func headersOf(of http.Header) []views.Header {
	var out []views.Header
	for name, values := range of {
		for _, value := range values {
			out = append(out, views.Header{Name: name, Value: value})
		}
	}
	slices.SortStableFunc(out, func(a, b views.Header) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// inJSON reads those headers that are JSON in base64.
func inJSON(of http.Header) []views.Spelled {
	var out []views.Spelled
	for _, name := range []string{x402.HeaderRequired, x402.HeaderSignature, x402.HeaderPayment, x402.HeaderResponse, x402.HeaderResponseV1} {
		text, err := base64.StdEncoding.DecodeString(of.Get(name))
		var b bytes.Buffer
		if err == nil && len(text) > 0 && json.Indent(&b, text, "", "  ") == nil {
			out = append(out, views.Spelled{Name: name, JSON: b.String()})
		}
	}
	return out
}
