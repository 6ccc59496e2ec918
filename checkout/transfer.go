package checkout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
)

// Manual is how a buyer pays by a transfer of his own: exactly this amount, which names his purchase and no other.
type Manual struct {
	Attempt   id.Attempt
	Amount    money.USDC
	OpenedAt  time.Time
	KeptUntil time.Time     // the amount names the purchase until then
	Told      []common.Hash // what the buyer says he has sent, as far as nobody has seen it yet
	Came      []Came        // what came instead
}

// Came is money that came for a purchase and does not pay it: the shop decides on it.
type Came struct {
	Amount      money.USDC
	Kind        string // underpaid, overpaid, paid_twice, unmatched
	Transaction string
	Payer       string
	At          time.Time
	Decision    string // of the shop; empty while there is none
	Named       bool   // nothing but the buyer says that it is for this purchase: he has named its transaction
}

var (
	// ErrNoTransfer is returned for purchases that nobody can pay by a transfer of his own: they cost too little, a program
	// waits for them, or nobody watches their address.
	ErrNoTransfer = errors.New("checkout: cannot be paid by a plain transfer")
	// ErrCrowded is returned when every amount that could name a purchase is taken.
	ErrCrowded = errors.New("checkout: too many transfers are awaited")
)

const (
	manualLeast = money.One / 10 // what a purchase costs at least that is paid by a plain transfer
	manualMost  = 9_999          // base units that its amount is above the price, at most
	manualShare = 100            // and not more than this part of the price
	manualDrawn = 32             // amounts that are drawn at first; if all of them are taken, all that there are
	manualTries = 4              // draws, as another buyer may take the same amount at the same moment
	manualKept  = 24 * time.Hour // how long an amount names a purchase that is over
)

// MayTransfer tells whether a purchase may be paid by a plain transfer.
func (s *Service) MayTransfer(ctx context.Context, a Attempt) (bool, error) {
	if a.Status != Open || a.Amount < manualLeast || a.direct || a.Simulated {
		return false, nil
	}
	watched, err := queries.New().ManualWatched(ctx, s.pool, a.ID)
	if err != nil {
		return false, fmt.Errorf("who watches for %s: %w", a.ID, err)
	}
	return watched, nil
}

// OpenManual gives a purchase the amount by which a plain transfer names it; asked again, it has the same.
// Errors: [ErrNotFound], [ErrNotOpen], [ErrNoTransfer], [ErrCrowded].
func (s *Service) OpenManual(ctx context.Context, attempt id.Attempt) (Manual, error) {
	var row queries.ManualAmount
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		row, err = s.openManualTx(ctx, tx, attempt)
		return err
	})
	if err != nil {
		return Manual{}, fmt.Errorf("await a transfer for %s: %w", attempt, err)
	}
	return manual(row), nil
}

func (s *Service) openManualTx(ctx context.Context, tx pgx.Tx, attempt id.Attempt) (queries.ManualAmount, error) {
	q, now := queries.New(), s.now()
	a, err := q.AttemptForUpdate(ctx, tx, attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return queries.ManualAmount{}, ErrNotFound
	}
	if err != nil {
		return queries.ManualAmount{}, err
	}
	row, err := q.ManualByAttempt(ctx, tx, attempt)
	if !errors.Is(err, pgx.ErrNoRows) {
		return row, err
	}
	if Status(a.Status) != Open || !now.Before(a.ExpiresAt) {
		return row, ErrNotOpen
	}
	watched, err := q.ManualWatched(ctx, tx, attempt)
	if err != nil {
		return row, err
	}
	if !watched || a.Amount < manualLeast || a.Direct || a.Simulated {
		return row, ErrNoTransfer
	}
	for try := range manualTries {
		drawn := manualDrawn
		if try > 0 {
			drawn = manualMost
		}
		row, err = q.ManualOpen(ctx, tx, queries.ManualOpenParams{
			AttemptID: a.ID, Network: a.Network, PayTo: a.PayTo, Now: now, KeptUntil: a.ExpiresAt.Add(manualKept), Amounts: drawAmounts(a.Amount, drawn),
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			return row, err
		}
	}
	return row, ErrCrowded
}

// drawAmounts are amounts a little above a price, at most so many, each once and any as likely as any other.
func drawAmounts(price money.USDC, most int) []int64 {
	all := make([]int64, min(manualMost, int64(price)/manualShare))
	for i := range all {
		all[i] = int64(price) + 1 + int64(i)
	}
	drawn := min(most, len(all))
	for i := range drawn {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(all)-i)))
		if err != nil {
			panic(err) // the system has no randomness
		}
		other := i + int(n.Int64())
		all[i], all[other] = all[other], all[i]
	}
	return all[:drawn]
}

func manual(row queries.ManualAmount) Manual {
	m := Manual{Attempt: row.AttemptID, Amount: row.Amount, OpenedAt: row.OpenedAt, KeptUntil: row.KeptUntil}
	for _, hash := range row.Told {
		m.Told = append(m.Told, common.HexToHash(hash))
	}
	return m
}

// ManualOf is how a purchase is paid by a transfer, and what came instead. Errors: [ErrNotFound] where nobody opened it.
func (s *Service) ManualOf(ctx context.Context, attempt id.Attempt) (Manual, error) {
	q := queries.New()
	row, err := q.ManualByAttempt(ctx, s.pool, attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Manual{}, ErrNotFound
	}
	if err != nil {
		return Manual{}, fmt.Errorf("transfer for %s: %w", attempt, err)
	}
	m := manual(row)
	came, err := q.TransfersAscribed(ctx, s.pool, queries.TransfersAscribedParams{
		AttemptID: string(attempt), Network: row.Network, Told: row.Told, PayTo: row.PayTo, Since: row.OpenedAt.Add(-blockSlack),
	})
	if err != nil {
		return Manual{}, fmt.Errorf("what came for %s: %w", attempt, err)
	}
	for _, c := range came {
		m.Came = append(m.Came, Came{
			Amount: c.Amount, Kind: c.Kind, Transaction: c.Transaction, Payer: c.Payer, At: c.CreatedAt, Decision: c.Resolution, Named: !c.Ascribed,
		})
		m.Told = slices.DeleteFunc(m.Told, func(hash common.Hash) bool { return hash.Hex() == c.Transaction })
	}
	return m, nil
}

// TransferArgs asks for a look at transactions that a buyer says are his.
type TransferArgs struct {
	Attempt id.Attempt `json:"attempt" river:"unique"`
}

// Kind names the job.
func (TransferArgs) Kind() string { return "transfer" }

// InsertOpts puts it on its queue. Nothing is lost with it: the watcher sees every transfer.
func (TransferArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueChain, MaxAttempts: 20}
}

// Tell notes a transaction that a buyer says is his, and has somebody look at it at once. It proves nothing: what pays is
// the amount. Errors: [ErrNotFound] where no transfer is awaited.
func (s *Service) Tell(ctx context.Context, attempt id.Attempt, transaction common.Hash) error {
	var row queries.ManualAmount
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		q := queries.New()
		row, err = q.ManualByAttempt(ctx, tx, attempt)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		n, err := q.ManualTell(ctx, tx, queries.ManualTellParams{AttemptID: attempt, Hash: transaction.Hex()})
		if err != nil || n == 0 {
			return err
		}
		_, err = s.jobs.InsertTx(ctx, tx, TransferArgs{Attempt: attempt}, nil)
		return err
	})
	if err == nil {
		err = s.ascribe(ctx, row, transaction)
	}
	if err != nil {
		return fmt.Errorf("note a transfer for %s: %w", attempt, err)
	}
	return nil
}

// ascribe tells the shop which purchase money was meant for that is on its list already. It stays there: anybody can name a
// transaction that he sees.
func (s *Service) ascribe(ctx context.Context, row queries.ManualAmount, transaction common.Hash) error {
	x, err := queries.New().ExceptionAscribe(ctx, s.pool, queries.ExceptionAscribeParams{
		AttemptID: string(row.AttemptID), Wanted: int64(row.Amount), Network: row.Network, Transaction: transaction.Hex(), PayTo: row.PayTo,
		Since: row.OpenedAt.Add(-blockSlack),
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		s.hub.Changed(row.AttemptID, x.MerchantID)
	}
	return err
}

// LookForTransfer looks at the transactions that a buyer says are his, and asks for another look while one is not mined.
func (s *Service) LookForTransfer(ctx context.Context, attempt id.Attempt) error {
	row, err := queries.New().ManualByAttempt(ctx, s.pool, attempt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("transfer for %s: %w", attempt, err)
	}
	w, err := s.watcherOf(ctx, row.Network)
	if err != nil {
		return err
	}
	waits := false
	for _, told := range row.Told {
		seen, err := s.takeIn(ctx, w, common.HexToHash(told))
		if err != nil {
			return fmt.Errorf("transfer for %s: %w", attempt, err)
		}
		waits = waits || !seen
		if seen { // it may have been listed in the moment in which it was told
			if err := s.ascribe(ctx, row, common.HexToHash(told)); err != nil {
				return fmt.Errorf("transfer for %s: %w", attempt, err)
			}
		}
	}
	if waits && s.now().Before(row.OpenedAt.Add(tellPatience)) {
		return river.JobSnooze(again)
	}
	return nil
}

// tellPatience is how long a told transaction is looked for by itself; the watcher sees it later, too.
const tellPatience = time.Hour

// releaseAmounts lets others have the amounts that name no purchase any more.
func (s *Service) releaseAmounts(ctx context.Context) error {
	if err := queries.New().ManualRelease(ctx, s.pool, s.now()); err != nil {
		return fmt.Errorf("amounts of transfers: %w", err)
	}
	return nil
}
