package shop

import (
	"context"
	"fmt"
	"math/rand/v2"

	"xsynesis/id"
	"xsynesis/queries"
)

// Clicks is how often people came to a link that leads somewhere.
type Clicks struct {
	All int64 // its page was opened
	Led int64 // somebody was led on from there, or from the page of what he paid
}

// clickSlots spread a link's counter over rows: a crowd that opens it does not queue for one.
const clickSlots = 32

// Click counts that a link's page was opened.
func (s *Service) Click(ctx context.Context, link id.Link) error {
	return s.count(ctx, queries.LinkClickParams{LinkID: link, Clicks: 1})
}

// LeadOn counts that a link led somebody on.
func (s *Service) LeadOn(ctx context.Context, link id.Link) error {
	return s.count(ctx, queries.LinkClickParams{LinkID: link, Led: 1})
}

func (s *Service) count(ctx context.Context, p queries.LinkClickParams) error {
	p.Slot = int16(rand.IntN(clickSlots)) //nolint:gosec // which row counts is no secret
	if err := queries.New().LinkClick(ctx, s.pool, p); err != nil {
		return fmt.Errorf("count a click of %s: %w", p.LinkID, err)
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
