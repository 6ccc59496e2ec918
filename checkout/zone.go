package checkout

import (
	"context"
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // a machine without a list of time zones knows them all the same

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/shop"
)

// Zone is where a shop's days begin.
type Zone struct {
	*time.Location
	Next string // the zone for which its figures are being counted anew; empty for none
}

// Zone returns a shop's time zone.
func (s *Service) Zone(ctx context.Context, merchant id.Merchant) (Zone, error) {
	m, err := queries.New().MerchantZone(ctx, s.pool, merchant)
	if err != nil {
		return Zone{}, fmt.Errorf("time zone of %s: %w", merchant, err)
	}
	at, err := time.LoadLocation(m.Zone)
	if err != nil { // it was known when it was chosen
		return Zone{}, fmt.Errorf("time zone of %s: %w", merchant, err)
	}
	return Zone{at, m.NextZone}, nil
}

func (s *Service) zoneOf(ctx context.Context, merchant id.Merchant) (string, error) {
	z, err := s.Zone(ctx, merchant)
	if err != nil {
		return "", err
	}
	return z.String(), nil
}

// SetZone has a shop's days begin at midnight of another time zone. was is the one that the form showed. A worker counts the
// shop's figures anew; until it has, the old days stand. Errors: [*shop.FieldError], [shop.ErrChanged].
func (s *Service) SetZone(ctx context.Context, merchant id.Merchant, was, zone string, by audit.By) error {
	unknown := &shop.FieldError{Field: "zone", Message: "Choose a time zone from the list, such as Europe/Copenhagen."}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return unknown
	}
	now := s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		n, err := queries.New().MerchantAskZone(ctx, tx, queries.MerchantAskZoneParams{ID: merchant, Was: was, Next: zone})
		switch {
		case err != nil:
			return err
		case n == 0:
			return shop.ErrChanged
		case was == zone:
			return nil
		}
		if _, err := s.jobs.InsertTx(ctx, tx, RecountArgs{Merchant: merchant}, nil); err != nil {
			return err
		}
		return audit.RecordTx(ctx, tx, now, audit.Row{
			By: by, Merchant: merchant, Action: "shop.zone_changed", ResourceType: "shop", ResourceID: string(merchant),
			Before: map[string]string{"zone": was}, After: map[string]string{"zone": zone},
		})
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "22023" { // the database's list differs from ours
		return unknown
	}
	if err != nil {
		return fmt.Errorf("change the time zone of %s: %w", merchant, err)
	}
	return nil
}

// RecountArgs has a shop's figures counted in days of its next time zone.
type RecountArgs struct {
	Merchant id.Merchant `json:"merchant" river:"unique"`
}

// Kind names the job.
func (RecountArgs) Kind() string { return "recount" }

// InsertOpts puts it on its queue.
func (RecountArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueMaint, MaxAttempts: maxTries}
}

// settledBy is how old a sale must be to stand for certain: no transaction that records one takes as long.
const settledBy = time.Hour

// Recount counts a shop's figures in days of its next time zone, if it has one, and has them take the place of the old ones.
// Payments go on meanwhile: they wait only for the last hour to be counted.
func (s *Service) Recount(ctx context.Context, merchant id.Merchant) error {
	q := queries.New()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := q.RecountAlone(ctx, tx, string(merchant)); err != nil {
			return err
		}
		m, err := q.MerchantZone(ctx, tx, merchant)
		if err != nil || m.NextZone == "" {
			return err
		}
		if err := q.SumsForget(ctx, tx, queries.SumsForgetParams{MerchantID: merchant, Zone: m.Zone}); err != nil {
			return err
		}
		certain := s.now().Add(-settledBy)
		if err := q.SumsRecount(ctx, tx, queries.SumsRecountParams{MerchantID: merchant, Until: certain}); err != nil {
			return err
		}
		if err := q.CountingAlone(ctx, tx, string(merchant)); err != nil {
			return err
		}
		if err := q.SumsRecount(ctx, tx, queries.SumsRecountParams{MerchantID: merchant, Since: certain, Until: endOfTime}); err != nil {
			return err
		}
		if err := q.SumsRecountRefunds(ctx, tx, merchant); err != nil {
			return err
		}
		taken, err := q.MerchantTakeZone(ctx, tx, queries.MerchantTakeZoneParams{ID: merchant, Zone: m.NextZone})
		if err == nil && taken == 0 {
			err = shop.ErrChanged // to a third zone: the next try counts for that
		}
		if err != nil {
			return err
		}
		return q.SumsForget(ctx, tx, queries.SumsForgetParams{MerchantID: merchant, Zone: m.NextZone})
	})
	if errors.Is(err, pgx.ErrNoRows) { // no such shop
		return nil
	}
	if err != nil {
		return fmt.Errorf("count %s anew: %w", merchant, err)
	}
	s.hub.Changed("", merchant)
	return nil
}

// sweepZones gives a job to shops that wait for their figures.
func (s *Service) sweepZones(ctx context.Context) error {
	waiting, err := queries.New().MerchantsCounting(ctx, s.pool)
	if err != nil || len(waiting) == 0 {
		return err
	}
	jobs := make([]river.InsertManyParams, len(waiting))
	for i, merchant := range waiting {
		jobs[i] = river.InsertManyParams{Args: RecountArgs{Merchant: merchant}, InsertOpts: sweptOnce(s.o.Sweep)}
	}
	_, err = s.jobs.InsertMany(ctx, jobs)
	return err
}
