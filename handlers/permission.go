package handlers

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/views"
)

// may lets only those in whose role includes the permission. A page of the dashboard has no other way in, so what
// nobody thought of is refused.
func (h *Handlers) may(p access.Permission, next func(echo.Context, seller) error) echo.HandlerFunc {
	return h.signedIn(func(c echo.Context, s seller) error {
		if !s.May(p) {
			return h.lacks(c, s, p)
		}
		return next(c, s)
	})
}

// lacksError tells somebody what he may not do, and who could change that.
type lacksError struct {
	role       access.Role
	permission access.Permission
	grantors   []string // "Ada Holm (owner)"
}

func (e *lacksError) Error() string {
	return fmt.Sprintf("handlers: a role %s may not %s", e.role, e.permission)
}

func (e *lacksError) sentence() string {
	role := strings.ToLower(e.role.Sheet().Name)
	article := "a"
	if role != "" && strings.ContainsRune("aeiou", rune(role[0])) {
		article = "an"
	}
	told := fmt.Sprintf("As %s %s you may not %s.", article, role, e.permission)
	switch len(e.grantors) {
	case 0:
		return told
	case 1:
		return told + " Ask " + e.grantors[0] + " to let you."
	default:
		last := len(e.grantors) - 1
		return told + " Ask " + strings.Join(e.grantors[:last], ", ") + " or " + e.grantors[last] + " to let you."
	}
}

// mostGrantors is how many people an answer names.
const mostGrantors = 5

func (h *Handlers) lacks(c echo.Context, s seller, p access.Permission) error {
	ctx, e := c.Request().Context(), &lacksError{role: s.Role, permission: p}
	people, err := h.Access.Grantors(ctx, s.Merchant, s.Role, p)
	if err != nil { // the refusal stands without their names
		slog.WarnContext(ctx, "who may grant a permission", "merchant", s.Merchant, "error", err)
	}
	for _, m := range people[:min(len(people), mostGrantors)] {
		e.grantors = append(e.grantors, fmt.Sprintf("%s (%s)", m.PersonName, strings.ToLower(m.Role.Sheet().Name)))
	}
	return e
}

// reaches says what one has to be permitted to open each part of the dashboard.
var reaches = map[views.Section]access.Permission{
	views.SectionOverview: access.SeeShop, views.SectionSales: access.SeeSales, views.SectionBalance: access.SeeMoney, views.SectionSettlements: access.SeeSales, views.SectionReconciliation: access.SeeMoney,
	views.SectionLinks: access.SeeLinks, views.SectionItems: access.SeeItems, views.SectionOrders: access.SeeSales, views.SectionCodes: access.SeeCodes,
	views.SectionEndpoints: access.SeeEndpoints,
	views.SectionWebhooks:  access.SeeWebhooks, views.SectionStaff: access.SeeStaff,
	views.SectionAudit: access.SeeAudit, views.SectionSettings: access.SeeSettings,
}

// leads says what one has to be permitted to open the pages that rows lead to, by how their paths begin.
var leads = []struct {
	path  string
	needs access.Permission
}{
	{views.RefundsPath, access.SeeMoney}, {views.BalancePath, access.SeeMoney}, {views.PayoutsPath, access.SeeMoney}, {views.LinksPath, access.SeeLinks}, {views.ItemsPath, access.SeeItems}, {views.OrdersPath, access.SeeSales}, {views.ReconciliationPath, access.SeeMoney}, {views.CodesPath, access.SeeCodes},
	{views.EndpointsPath, access.SeeEndpoints},
	{views.WebhooksPath, access.SeeWebhooks}, {views.StaffPath, access.SeeStaff},
	{views.SettingsPath, access.SeeSettings},
}

// leadsTo is a path that a row leads to, or nothing where somebody's role does not open it.
func leadsTo(s seller, path string) string {
	for _, l := range leads {
		if strings.HasPrefix(path, l.path) && !s.May(l.needs) {
			return ""
		}
	}
	return path
}

// reach tells a page's frame which parts of the dashboard somebody's role opens, and which other shops are his.
func (h *Handlers) reach(c echo.Context, s seller, v *views.DashboardView) {
	for section, needs := range reaches {
		if !s.May(needs) {
			v.Closed = append(v.Closed, section)
		}
	}
	for _, p := range access.Permissions {
		if !s.May(p) {
			v.Barred = append(v.Barred, p)
		}
	}
	var err error
	if v.Shops, err = h.shopChoices(c, s); err != nil { // a page without its menu is better than none
		slog.WarnContext(c.Request().Context(), "shops of a person", "person", s.Person, "error", err)
	}
}
