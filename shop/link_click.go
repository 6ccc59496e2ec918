package shop

import (
	"context"
	"fmt"
	"math/rand/v2"

	"xsynesis/id"
	"xsynesis/queries"
)

// Clicks is how often a link that leads somewhere was opened.
type Clicks struct {
	All int64
	Led int64 // those of them that were led on
}

// clickSlots spread a link's counter over rows: a crowd that opens it does not queue for one.
const clickSlots = 32

// Click counts one opening of a link, and whether its visitor was led on.
func (s *Service) Click(ctx context.Context, link id.Link, led bool) error {
	p := queries.LinkClickParams{LinkID: link, Slot: int16(rand.IntN(clickSlots))} //nolint:gosec // which row counts is no secret
	if led {
		p.Led = 1
	}
	if err := queries.New().LinkClick(ctx, s.pool, p); err != nil {
		return fmt.Errorf("count a click of %s: %w", link, err)
	}
	return nil
}

// clicksOf tells how often those links were opened that lead somewhere.
func (s *Service) clicksOf(ctx context.Context, rows []queries.LinkListRow) (map[id.Link]Clicks, error) {
	var leading []id.Link
	for _, r := range rows {
		if r.Link.LeadsTo != "" {
			leading = append(leading, r.Link.ID)
		}
	}
	return s.clicks(ctx, leading...)
}

// clicks tells how often links were opened; those that never were are not in it.
func (s *Service) clicks(ctx context.Context, links ...id.Link) (map[id.Link]Clicks, error) {
	if len(links) == 0 {
		return map[id.Link]Clicks{}, nil
	}
	ids := make([]string, len(links))
	for i, l := range links {
		ids[i] = string(l)
	}
	rows, err := queries.New().LinkClicks(ctx, s.pool, ids)
	if err != nil {
		return nil, fmt.Errorf("clicks: %w", err)
	}
	out := make(map[id.Link]Clicks, len(rows))
	for _, r := range rows {
		out[r.LinkID] = Clicks{All: r.Clicks, Led: r.Led}
	}
	return out, nil
}
