package shop

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// PauseLink lets nobody begin a purchase with a link any more, until [Service.ResumeLink]. text is what buyers read
// meanwhile, empty for words of ours; pausing again changes it. Errors: [*FieldError], [ErrNotFound], [ErrLinkExpired].
func (s *Service) PauseLink(ctx context.Context, merchant id.Merchant, link id.Link, text string, by audit.By) (Link, error) {
	text = strings.TrimSpace(text)
	if err := checkPauseText(text); err != nil {
		return Link{}, err
	}
	return s.pause(ctx, merchant, link, by, func(f *LinkForm) { f.Paused, f.PauseText = true, text })
}

// ResumeLink opens a paused link again; one that is not paused stays as it is. Errors: [ErrNotFound], [ErrLinkExpired].
func (s *Service) ResumeLink(ctx context.Context, merchant id.Merchant, link id.Link, by audit.By) (Link, error) {
	return s.pause(ctx, merchant, link, by, func(f *LinkForm) { f.Paused, f.PauseText = false, "" })
}

// pause looks at nothing but the link's time: also one whose item is off the shelf can be paused.
func (s *Service) pause(ctx context.Context, merchant id.Merchant, link id.Link, by audit.By, change func(*LinkForm)) (Link, error) {
	now := s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		was, err := q.LinkForUpdate(ctx, tx, queries.LinkForUpdateParams{MerchantID: merchant, ID: link})
		if err != nil {
			return notFound(err)
		}
		if was.ExpiredAt != nil || was.ExpiresAt != nil && !now.Before(*was.ExpiresAt) {
			return ErrLinkExpired
		}
		f, err := formTx(ctx, tx, was)
		if err != nil {
			return err
		}
		before := f.seen(was.Livemode)
		change(&f)
		p := queries.LinkPauseParams{MerchantID: merchant, ID: link, PausedAt: f.pausedAt(was.PausedAt, now), PauseText: f.PauseText, Now: now}
		if err := q.LinkPause(ctx, tx, p); err != nil {
			return err
		}
		return s.recordLinkTx(ctx, tx, merchant, by, "link.changed", link, before, f.seen(was.Livemode))
	})
	if err != nil {
		return Link{}, fmt.Errorf("pause link %s: %w", link, err)
	}
	return s.Link(ctx, merchant, link)
}

// pausedAt is since when a link rests: a pause goes on from when it began.
func (f *LinkForm) pausedAt(was *time.Time, now time.Time) *time.Time {
	switch {
	case !f.Paused:
		return nil
	case was != nil:
		return was
	default:
		return &now
	}
}

// maxPauseText is short enough to be read on the page of a phone.
const maxPauseText = 300

// checkPause drops the text of a link that is not paused.
func (f *LinkForm) checkPause() error {
	f.PauseText = strings.TrimSpace(f.PauseText)
	if !f.Paused {
		f.PauseText = ""
	}
	return checkPauseText(f.PauseText)
}

// checkPauseText accepts what buyers read while a link is paused.
func checkPauseText(s string) error {
	if !Lines(s, maxPauseText) {
		return &FieldError{"pause_text", fmt.Sprintf("Use at most %d printable characters.", maxPauseText)}
	}
	return nil
}
