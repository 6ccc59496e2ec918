package checkout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
)

// Goods is what the buyer of a line gets at once: a file to fetch, or keys.
type Goods struct {
	Line  int // of the purchase, from 0
	Title string
	File  *shop.Upload // nil for keys
	Times int          // how often the file was fetched
	Keys  []string
}

// errNoKeys is returned where a list holds fewer keys than its stock says; then nothing of it happens.
var errNoKeys = errors.New("checkout: fewer keys than were sold")

// giveKeysTx gives each line that bought keys as many of its item's own list. A line without stock gets none: its money
// came late, and is listed for somebody to decide on.
func giveKeysTx(ctx context.Context, tx pgx.Tx, now time.Time, all []paid) error {
	for _, p := range all {
		for _, l := range p.lines {
			if shop.Kind(l.Kind) != shop.LicenceKey || p.reservation(l.Line) == "" {
				continue
			}
			n, err := queries.New().KeysGive(ctx, tx, queries.KeysGiveParams{
				AttemptID: string(p.attempt.ID), Line: l.Line, ItemID: id.Item(l.ItemID), Livemode: p.attempt.Livemode, Most: l.Qty, Now: now,
			})
			if err == nil && n != int64(l.Qty) {
				err = errNoKeys
			}
			if err != nil {
				return fmt.Errorf("keys of %s for %s: %w", l.ItemID, p.attempt.ID, err)
			}
		}
	}
	return nil
}

// HasGoods tells whether a purchase buys something that is handed out at once.
func (a Attempt) HasGoods() bool {
	return slices.ContainsFunc(a.Lines, func(l Line) bool { return l.File != "" || l.Kind == shop.LicenceKey })
}

// Goods are what a paid purchase's buyer gets; nobody gets anything before. They are for who has the buyer's token
// ([Attempt.IsBuyer]), and for the shop.
func (s *Service) Goods(ctx context.Context, p Purchase) ([]Goods, error) {
	if !p.Status.Paid() || !p.HasGoods() {
		return nil, nil
	}
	q := queries.New()
	keys, err := q.KeysOfAttempt(ctx, s.pool, string(p.ID))
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", p.ID, err)
	}
	fetched, err := q.DownloadsOfAttempt(ctx, s.pool, p.ID)
	if err != nil {
		return nil, fmt.Errorf("downloads of %s: %w", p.ID, err)
	}
	var out []Goods
	for i, l := range p.Lines {
		g := Goods{Line: i, Title: l.Title}
		switch {
		case l.Revoked:
			continue
		case l.File != "":
			u, err := s.shop.Upload(ctx, l.File)
			if err != nil {
				return nil, err
			}
			g.File = &u
			for _, d := range fetched {
				if int(d.Line) == i {
					g.Times = int(d.Times)
				}
			}
		case l.Kind == shop.LicenceKey:
			for _, k := range keys {
				if int(*k.Line) == i {
					g.Keys = append(g.Keys, k.Key)
				}
			}
		default:
			continue
		}
		out = append(out, g)
	}
	return out, nil
}

// Download opens the file of one line for whoever has the buyer's token. A download that goes on where another broke off
// is not counted. Errors: [ErrNotFound] for everything else.
func (s *Service) Download(ctx context.Context, attempt id.Attempt, line int, k string, goesOn bool) (shop.Upload, io.ReadSeeker, error) {
	p, err := s.Purchase(ctx, attempt)
	if err != nil {
		return shop.Upload{}, nil, err
	}
	if !p.IsBuyer(k) || !p.Status.Paid() || line < 0 || line >= len(p.Lines) || p.Lines[line].File == "" || p.Lines[line].Revoked {
		return shop.Upload{}, nil, fmt.Errorf("file %d of %s: %w", line, attempt, ErrNotFound)
	}
	u, err := s.shop.Upload(ctx, p.Lines[line].File)
	if err != nil {
		return shop.Upload{}, nil, err
	}
	if !goesOn {
		if err := queries.New().DownloadCount(ctx, s.pool, queries.DownloadCountParams{
			AttemptID: attempt, Line: int16(line), UploadID: u.ID, Now: s.now(),
		}); err != nil {
			return shop.Upload{}, nil, fmt.Errorf("count the download of %s: %w", attempt, err)
		}
	}
	return u, s.shop.FileReader(ctx, u), nil
}
