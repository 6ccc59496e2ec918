package views

import (
	"net/url"

	"xsynesis/static"
)

// Paths of pages that templates and handlers link to. Dashboard paths stand beside the dashboard's views.

// LinkPath is a payment link's page; posting to it starts a purchase.
func LinkPath(token string) string { return "/link/" + url.PathEscape(token) }

// PurchasePath is one purchase's page, for ever. The buyer's token key may be empty.
func PurchasePath(attempt, key string) string {
	p := "/pay/" + url.PathEscape(attempt)
	if key != "" {
		p += "?k=" + url.QueryEscape(key)
	}
	return p
}

// EventsPath is the stream that says when a purchase has changed.
func EventsPath(attempt string) string { return "/pay/" + url.PathEscape(attempt) + "/events" }

// OpeningPath is where a page says that a customer of a till looks at it.
func OpeningPath(attempt string) string { return "/pay/" + url.PathEscape(attempt) + "/openings" }

// TipPath is where a customer of a till adds a tip, or takes it away.
func TipPath(attempt string) string { return "/pay/" + url.PathEscape(attempt) + "/tip" }

// TransferPath is where a buyer asks how to send the money himself, and says that he has.
func TransferPath(attempt, key string) string {
	p := "/pay/" + url.PathEscape(attempt) + "/transfer"
	if key != "" {
		p += "?k=" + url.QueryEscape(key)
	}
	return p
}

// PaymentPath is where a page posts the signed payment of a purchase.
func PaymentPath(attempt string) string {
	return "/api/payment_attempts/" + url.PathEscape(attempt) + "/pay"
}

// asset gives the address of a static file.
func asset(name string) string { return static.URL(name) }
