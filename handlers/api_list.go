package handlers

import (
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/id"
	"xsynesis/shop"
)

// listJSON is one page of a list.
type listJSON[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor"`
}

const (
	listDefault = 20
	listMost    = 100
)

func listParams(more ...apiParam) []apiParam {
	return append([]apiParam{{"limit", "1 to 100; 20 if not given."}, {"cursor", "next_cursor of the page before."}}, more...)
}

func listLimit(c echo.Context) (int, error) {
	text := c.QueryParam("limit")
	if text == "" {
		return listDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > listMost {
		return 0, &shop.FieldError{Field: "limit", Message: "Give a whole number from 1 to 100."}
	}
	return n, nil
}

var errCursor = &shop.FieldError{Field: "cursor", Message: "Give the next_cursor of a page of this list."}

// listPage reads limit and cursor of a list whose cursors are ids.
func listPage[T interface {
	~string
	Prefix() string
}](c echo.Context) (shop.Page, error) {
	limit, err := listLimit(c)
	if err != nil {
		return shop.Page{}, err
	}
	cursor := c.QueryParam("cursor")
	if cursor != "" {
		if _, err := id.Parse[T](cursor); err != nil {
			return shop.Page{}, errCursor
		}
	}
	return shop.Page{Before: cursor, Limit: limit}, nil
}

// list makes a page of rows of which there is one too many where there are more.
func list[R, J any](rows []R, limit int, cursor func(R) string, row func(R) J) listJSON[J] {
	out := listJSON[J]{Data: make([]J, 0, min(len(rows), limit))}
	for _, r := range rows[:min(len(rows), limit)] {
		out.Data = append(out.Data, row(r))
	}
	if len(rows) > limit {
		next := cursor(rows[limit-1])
		out.NextCursor = &next
	}
	return out
}

// usdc is the one currency that is asked for.
const usdc = "USDC"

// currencyOf names the currency of money that was, or was not, there.
func currencyOf(simulated bool) string {
	if simulated {
		return "SIM"
	}
	return usdc
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
