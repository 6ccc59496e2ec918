package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/views"
)

// presence answers an open page that asks whether it may stay open. Whoever may not is answered before: by the sign-in,
// or by the overview of what his session shows now.
func (h *Handlers) presence(c echo.Context, _ seller) error {
	return c.NoContent(http.StatusNoContent)
}

// shown names what a page shows: whose rows, of which mode. Someone without the dashboard has no page that could ask.
func shown(s seller) string {
	if !s.May(access.SeeShop) {
		return ""
	}
	if s.livemode {
		return string(s.Merchant) + " live"
	}
	return string(s.Merchant) + " test"
}

// strayed tells whether an open page asks for itself and shows something else than its session does by now: another tab
// of the same browser went to another shop, or to the other mode. Under its heading nothing of these may stand.
func strayed(r *http.Request, s seller) bool {
	of := r.Header.Get(views.ShownHeader)
	return of != "" && isScript(r) && of != shown(s)
}

// leaveOpenPage makes an open page go to the overview.
func leaveOpenPage(c echo.Context) error {
	c.Response().Header().Set("HX-Redirect", views.OverviewPath)
	return c.NoContent(http.StatusNoContent)
}
