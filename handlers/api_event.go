package handlers

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// mimeSchema is the media type of a JSON Schema.
const mimeSchema = "application/schema+json"

func eventCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodGet, path: "/api/events/list", scope: access.EventsRead,
			summary: "List what happened, oldest first, for shops that cannot be called. Each event is to the letter what a webhook is sent.",
			query: []apiParam{
				{"limit", "1 to 100; 20 if not given."}, {"after", "The id of the last event that was read; the oldest that is kept if not given. `latest` gets the newest event alone, to go on from."},
				{"cursor", "The same: next_cursor of the page before."},
			},
			status: 200, answer: listJSON[json.RawMessage]{}, refusals: []int{400, 401, 403}, run: api.listEvents,
		},
		{
			method: http.MethodGet, path: "/api/events/types", summary: "List the events that there are.",
			status: 200, answer: listJSON[eventTypeJSON]{}, refusals: []int{401}, run: api.listEventTypes,
		},
		{
			method: http.MethodGet, path: "/api/events/types/{type}", summary: "The JSON Schema of one event's body.",
			status: 200, content: []string{mimeSchema}, refusals: []int{401, 404}, run: api.eventSchema,
		},
	}
}

// eventTypeJSON is an event that there is.
type eventTypeJSON struct {
	Type         webhook.Type    `json:"event_type"`
	Summary      string          `json:"summary"`
	ResourceType string          `json:"resource_type"`
	SchemaURL    string          `json:"schema_url"`
	Example      json.RawMessage `json:"example"`
}

func (a api) listEvents(c echo.Context, who access.Caller) error {
	limit, err := listLimit(c)
	if err != nil {
		return err
	}
	if c.QueryParam("after") == latest {
		return a.latestEvent(c, who)
	}
	after, err := eventCursor(c)
	if err != nil {
		return err
	}
	rows, _, err := a.Webhooks.Feed(c.Request().Context(), who.Merchant, who.Livemode, after, limit+1)
	if errors.Is(err, webhook.ErrNotFound) {
		return errNoSuchEvent
	}
	if err != nil {
		return err
	}
	return exactly(c, list(rows, limit, func(e webhook.EventRow) string { return string(e.ID) },
		func(e webhook.EventRow) json.RawMessage { return e.Body }))
}

// latest, in place of an id, asks for the end of the feed.
const latest = "latest"

func (a api) latestEvent(c echo.Context, who access.Caller) error {
	out := listJSON[json.RawMessage]{Data: []json.RawMessage{}}
	newest, err := a.Webhooks.Newest(c.Request().Context(), who.Merchant, who.Livemode)
	switch {
	case err == nil:
		out.Data = append(out.Data, newest.Body)
	case !errors.Is(err, webhook.ErrNotFound):
		return err
	}
	return exactly(c, out)
}

// eventCursor reads where to go on, by either name.
func eventCursor(c echo.Context) (id.Event, error) {
	for _, name := range []string{"cursor", "after"} {
		text := c.QueryParam(name)
		if text == "" {
			continue
		}
		after, err := id.Parse[id.Event](text)
		if err != nil {
			return "", &shop.FieldError{Field: name, Message: "Give the id of an event, such as evt_…"}
		}
		return after, nil
	}
	return "", nil
}

// errNoSuchEvent tells of a cursor that this shop was never given.
var errNoSuchEvent = &shop.FieldError{Field: "after", Message: "The shop has no such event."}

// exactly answers JSON without escapes for HTML: what was signed stays as it is.
func exactly(c echo.Context, v any) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	c.Response().WriteHeader(http.StatusOK)
	e := json.NewEncoder(c.Response())
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (a api) listEventTypes(c echo.Context, _ access.Caller) error {
	return c.JSON(http.StatusOK, list(webhook.Types, len(webhook.Types), func(webhook.Type) string { return "" }, a.eventTypeJSON))
}

func (a api) eventTypeJSON(t webhook.Type) eventTypeJSON {
	return eventTypeJSON{
		Type: t, Summary: t.Summary(), ResourceType: t.ResourceType(), SchemaURL: a.PublicURL + "/api/events/types/" + string(t), Example: t.Example(),
	}
}

func (a api) eventSchema(c echo.Context, _ access.Caller) error {
	t := webhook.Type(c.Param("type"))
	if !t.Known() {
		return webhook.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	return c.Blob(http.StatusOK, mimeSchema, t.Schema())
}
