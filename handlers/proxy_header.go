package handlers

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http/httpguts"

	"xsynesis/egress"
	"xsynesis/x402"
)

// callVary names what decides between the answers of a paid API.
const callVary = x402.HeaderSignature + ", " + x402.HeaderPayment + ", " + headerPass + ", " + headerCode + ", Authorization, Accept"

// callPolicy keeps what a seller's server answers from acting as a page of this shop.
const callPolicy = "sandbox; default-src 'none'; frame-ancestors 'none'"

// notForwarded are between a program and this gateway: the payment, whoever pays, and the way that the request took.
var notForwarded = []string{
	"Host", "Content-Length", "Expect", "Cookie", "Cookie2", "Authorization", "Origin", "Referer", "Forwarded", "Via", "True-Client-Ip", "Cdn-Loop",
	"Payment-Signature", "Payment-Required", "Payment-Response", "X-Payment", "X-Payment-Response", "Sign-In-With-X",
	"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	"Access-Control-Expose-Headers", "Seller-Id", "Livemode", "Hx-Request", headerPass, headerCode, headerAttempt, headerPayer,
}

// notAnswered are for this gateway to say, or would make it do something.
var notAnswered = []string{
	"Set-Cookie", "Set-Cookie2", "Content-Length", "Date", "Server", "Strict-Transport-Security", "Public-Key-Pins", "Content-Security-Policy",
	"Content-Security-Policy-Report-Only", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
	"Cross-Origin-Embedder-Policy", "Clear-Site-Data", "Refresh", "Service-Worker-Allowed", "Sourcemap", "X-Sourcemap", "Report-To", "Reporting-Endpoints", "Nel",
	"Payment-Required", "Payment-Response", "X-Payment-Response", "Settlement-Overrides", "Cache-Control", "Expires", "Pragma", "Age",
	"X-Accel-Redirect", "X-Accel-Buffering", "X-Accel-Expires", "X-Sendfile", "X-Reproxy-Url", "X-Request-Id", "Retry-After", "Location", "Content-Location",
	headerPass, headerPassEnd, headerAttempt, headerPayer,
}

// requestHeader is what a seller's server is told of a request.
func requestHeader(from http.Header) http.Header {
	return filter(from, func(name string) bool {
		return slices.Contains(notForwarded, name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Cf-") ||
			strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "Access-Control-") ||
			strings.Contains(name, "_") // which some servers read as a dash
	})
}

// answerHeader is what a program is told of an answer.
func answerHeader(from http.Header) http.Header {
	return filter(from, func(name string) bool {
		return slices.Contains(notAnswered, name) || strings.HasPrefix(name, "Access-Control-")
	})
}

// filter leaves out what is about one connection, what the connection's own header names, and what is not for the other side.
func filter(from http.Header, drop func(name string) bool) http.Header {
	var named []string
	for _, value := range from["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			named = append(named, textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)))
		}
	}
	out := make(http.Header, len(from))
	for name, values := range from {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if egress.OfConnection(canonical) || slices.Contains(named, canonical) || drop(canonical) || !httpguts.ValidHeaderFieldName(name) {
			continue
		}
		out[canonical] = slices.Clone(values)
	}
	return out
}

// writeHead writes the headers of a seller's answer under those of our own.
func writeHead(c echo.Context, answered http.Header) {
	header := c.Response().Header()
	for name, values := range answered {
		if name == "Vary" {
			header[name] = append(header[name], values...)
			continue
		}
		header[name] = values
	}
	header.Set("Cache-Control", "private, no-store")
	header.Set("Content-Security-Policy", callPolicy)
	if header.Get(echo.HeaderContentType) == "" { // or it would be guessed
		header.Set(echo.HeaderContentType, echo.MIMEOctetStream)
	}
}

// mayFetch refuses what a page loads as a part of itself: an answer of a seller's server is no script of this shop.
func mayFetch(r *http.Request) bool {
	return slices.Contains([]string{"", "empty", "document", "image", "audio", "video", "track", "json"}, r.Header.Get("Sec-Fetch-Dest"))
}

// bodyOf reads a request's body, which stays there to be read again.
func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// callCORS lets pages of any site call paid APIs, with whatever headers and methods those take.
func callCORS(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		allowAnySite(header)
		header.Set("Access-Control-Expose-Headers", corsExposed+", "+headerPass+", "+headerPassEnd+", "+headerAttempt+", *")
		if c.Request().Method != http.MethodOptions {
			return next(c)
		}
		allowed := corsAllowed + ", " + headerPass
		for name := range strings.SplitSeq(c.Request().Header.Get("Access-Control-Request-Headers"), ",") {
			if name = textproto.TrimString(name); httpguts.ValidHeaderFieldName(name) && len(allowed) < maxTarget {
				allowed += ", " + name
			}
		}
		header.Set("Access-Control-Allow-Methods", strings.Join(callMethods, ", ")+", OPTIONS")
		header.Set("Access-Control-Allow-Headers", allowed)
		header.Set("Access-Control-Max-Age", corsMaxAge)
		header.Add("Vary", "Access-Control-Request-Headers")
		return c.NoContent(http.StatusNoContent)
	}
}
