package views

import "net/url"

// CodedLinkPath is a payment link's page with a code filled in, as a code's QR opens it.
func CodedLinkPath(token, code string) string {
	return LinkPath(token) + "?" + url.Values{"code": {code}}.Encode()
}
