package views

import "net/url"

// OnwardPath is where a short link leads on. It is a GET that counts a click and answers 303: the page's security policy
// lets no form lead to another site. A link that has to be paid first answers 303 to its own page instead.
func OnwardPath(token string) string { return LinkPath(token) + "/onward" }

// PaidOnwardPath is the same for a purchase of a short link: with the buyer's token it leads on, without it 404.
func PaidOnwardPath(attempt, key string) string {
	p := PurchasePath(attempt, "") + "/onward"
	if key != "" {
		p += "?k=" + url.QueryEscape(key)
	}
	return p
}

// ShortLinkView is the page of a short link that asks no payment.
//
// Shown by GET /link/{token}. One that is to be paid is [LinkPage] with Leads set, and its paid page leads on by
// [Handover.Onward]. The page always names the host before anything is followed.
type ShortLinkView struct {
	Token       string
	URL         string // absolute
	Payee       Payee
	Title       string
	Description string
	Host        string // where it leads
	Closing
	Test bool
}

func (v ShortLinkView) page() Page {
	p := frame(v.Title+", "+v.Payee.Name, v.Test, false)
	p.Preview = Preview{Title: v.Title, Description: "Leads to " + v.Host + ".", URL: v.URL}
	return p
}

// words say why the link leads nowhere now, in the shop's words where it has any.
func (v ShortLinkView) words() closing {
	switch {
	case v.Closed == ClosedPaused && v.ClosedText != "":
		return closing{"cancelled", "This link is paused", v.ClosedText}
	case v.Closed == ClosedPaused:
		return closing{"cancelled", "This link is paused", "It cannot be followed for now. Ask " + v.Payee.Name + " when it will be open again."}
	case v.Closed == ClosedEarly:
		return closing{"expired", "This link is not open yet", "It opens on " + opening(v.OpensAt) + ". Come back then."}
	default:
		return closing{"expired", "This link has ended", "Its time is over. Ask " + v.Payee.Name + " for a new one."}
	}
}
