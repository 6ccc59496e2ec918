package handlers

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) noticeRoutes(e *echo.Echo) {
	e.GET(views.NoticesPath, h.may(access.SeeShop, h.notices))
	e.POST(views.NoticeReadsPath, h.may(access.ReadNotices, h.readNotices))
}

func (h *Handlers) notices(c echo.Context, s seller) error {
	rows, err := h.Webhooks.Notices(c.Request().Context(), s.Merchant, s.livemode, false)
	if err != nil {
		return err
	}
	v := views.NoticesView{DashboardView: h.frame(c, s, "Notices", views.SectionNotices, true)}
	for _, n := range rows {
		v.Notices = append(v.Notices, views.NoticeRow{
			ID: string(n.ID), Time: n.CreatedAt.UTC(), Text: n.Text, Path: leadsTo(s, n.Link), Unread: n.ReadAt == nil,
		})
	}
	return h.livePage(c, views.Notices(v))
}

// readNotices marks as read what the page showed, and not what came meanwhile.
func (h *Handlers) readNotices(c echo.Context, s seller) error {
	newest, err := id.Parse[id.Notice](c.FormValue("newest"))
	if err != nil {
		return err
	}
	if err := h.Webhooks.ReadNotices(c.Request().Context(), s.Merchant, s.livemode, newest); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.NoticesPath)
}

// badges counts what the frame of a page says needs somebody. A page without its badges is better than none.
func (h *Handlers) badges(c echo.Context, s seller, v *views.DashboardView) {
	ctx := c.Request().Context()
	unread, err := h.Webhooks.UnreadNotices(ctx, s.Merchant, s.livemode)
	undelivered, otherErr := h.Webhooks.Undelivered(ctx, s.Merchant, s.livemode)
	if err = errors.Join(err, otherErr); err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "badges of the dashboard", "merchant", s.Merchant, "error", err)
	}
	v.Unread = unread
	for _, n := range undelivered {
		v.Failed += n
	}
}
