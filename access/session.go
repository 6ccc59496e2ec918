package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// How long a session lasts: without a request, and at most.
const (
	sessionIdle = 12 * time.Hour
	sessionTime = 7 * 24 * time.Hour
	// seenEvery is how often a session's last use is written.
	seenEvery = time.Minute
	// stepUpTime is how long somebody who proved again who he is need not do it once more.
	stepUpTime = 5 * time.Minute
)

// ErrStepUp is returned by what only somebody may do who proved within the last five minutes that he is still himself.
var ErrStepUp = errors.New("access: confirm that it is you")

// Method is how somebody signed in.
type Method string

// The methods.
const (
	ByWallet   Method = "wallet"
	ByPasskey  Method = "passkey"
	ByRecovery Method = "recovery"
	ByPrivy    Method = "privy"
	ByPIN      Method = "pin"
	ByDemo     Method = "demo"  // the development build's people, without proof
	ByStart    Method = "start" // a person who was just made, and had nothing to sign with
)

// proves tells whether the method is as good as a step-up: something was signed just now, or there is nothing to guard.
func (m Method) proves() bool { return m == ByWallet || m == ByPasskey || m == ByStart || m == ByDemo }

// Session is a person who is signed in, most often for a shop.
type Session struct {
	ID         id.Session
	Person     id.Person
	PersonName string
	Role       Role        // empty without a shop
	Merchant   id.Merchant // empty for a person who belongs to none
	Shop       string
	Livemode   bool // what the dashboard shows
	WentLive   bool // the shop takes real money
	SteppedUp  bool // the person proved again who he is, at most five minutes ago
	Device     id.Device
	Method     Method
	Since      time.Time
}

// Browser is where a request came from, as a person may recognise it.
type Browser struct {
	Address   string
	UserAgent string
}

// by is who acts from this browser.
func (b Browser) by(person id.Person, name string) audit.By {
	return audit.By{Person: person, Actor: name, Address: b.Address, UserAgent: b.UserAgent}
}

// Entrance is how somebody comes in.
type Entrance struct {
	Person   id.Person
	Merchant id.Merchant // empty for the person's first shop, or none
	Livemode bool
	Method   Method
	Device   id.Device
	Browser  Browser
}

// SignIn begins a session of a member without any proof; it is for the development build and for tests.
func (s *Service) SignIn(ctx context.Context, merchant id.Merchant, person id.Person) (secret string, err error) {
	return s.Begin(ctx, Entrance{Person: person, Merchant: merchant, Method: ByDemo})
}

// Begin begins a session of somebody who has proven who he is, and returns its secret, which is stored only as a hash.
// The secret is always a new one. Errors: [ErrDenied] where the shop does not know him.
func (s *Service) Begin(ctx context.Context, e Entrance) (secret string, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		in, err := s.beginTx(ctx, tx, e)
		secret = in.Secret
		return err
	})
	return secret, err
}

// beginTx is [Service.Begin] in a transaction of the caller's. It notes who came in, how, and from where.
func (s *Service) beginTx(ctx context.Context, tx pgx.Tx, e Entrance) (in Entered, err error) {
	q, now := queries.New(), s.now()
	if in.Shops, err = s.shops(ctx, tx, e.Person); err != nil {
		return in, err
	}
	if e.Merchant, err = shopFor(in.Shops, e.Merchant); err != nil {
		return in, err
	}
	person, err := q.PersonByID(ctx, tx, e.Person)
	if err != nil {
		return in, fmt.Errorf("person %s: %w", e.Person, err)
	}
	in.Person, in.Name, in.Secret = person.ID, person.Name, draw()
	p := queries.SessionInsertParams{
		ID: id.New[id.Session](now), Hash: hash(in.Secret), PersonID: e.Person, MerchantID: optional(e.Merchant), Livemode: e.Livemode,
		CreatedAt: now, ExpiresAt: now.Add(sessionTime), Method: string(e.Method), DeviceID: optional(e.Device),
		UserAgent: audit.UserAgent(e.Browser.UserAgent), Address: e.Browser.Address,
	}
	if e.Method.proves() {
		p.SteppedUpAt = &now
	}
	if err := q.SessionInsert(ctx, tx, p); err != nil {
		return in, fmt.Errorf("begin a session of %s: %w", e.Person, err)
	}
	return in, audit.RecordTx(ctx, tx, now, audit.Row{
		By: e.Browser.by(e.Person, in.Name), Merchant: e.Merchant, Action: "session.begun", ResourceType: "session", ResourceID: string(p.ID),
		After: map[string]any{"method": e.Method},
	})
}

// shopFor is the one of somebody's shops that he comes in for: the first, if he does not say.
func shopFor(shops []Member, wanted id.Merchant) (id.Merchant, error) {
	if wanted == "" && len(shops) == 0 {
		return "", nil
	}
	for _, shop := range shops {
		if wanted == "" || shop.Merchant == wanted {
			return shop.Merchant, nil
		}
	}
	return "", ErrDenied
}

// Shops lists where somebody has a role, the oldest first.
func (s *Service) Shops(ctx context.Context, person id.Person) ([]Member, error) {
	return s.shops(ctx, s.pool, person)
}

func (s *Service) shops(ctx context.Context, db queries.DBTX, person id.Person) ([]Member, error) {
	rows, err := queries.New().MembershipsOfPerson(ctx, db, person)
	if err != nil {
		return nil, fmt.Errorf("shops of %s: %w", person, err)
	}
	out := make([]Member, len(rows))
	for i, r := range rows {
		out[i] = Member{Person: r.Person.ID, PersonName: r.Person.Name, Role: Role(r.Role), Merchant: r.Merchant.ID, Shop: r.Merchant.Name}
	}
	return out, nil
}

// Session returns who a session's secret stands for, or [ErrDenied].
func (s *Service) Session(ctx context.Context, secret string) (Session, error) {
	q, now := queries.New(), s.now()
	r, err := q.SessionByHash(ctx, s.pool, queries.SessionByHashParams{Hash: hash(secret), Now: now, IdleSince: now.Add(-sessionIdle)})
	if err != nil {
		return Session{}, denied(err)
	}
	if now.Sub(r.SeenAt) >= seenEvery {
		if err := q.SessionSeen(ctx, s.pool, queries.SessionSeenParams{ID: r.ID, Now: now}); err != nil {
			return Session{}, fmt.Errorf("note that %s is in use: %w", r.ID, err)
		}
	}
	return Session{
		ID: r.ID, Person: r.PersonID, PersonName: r.PersonName, Role: Role(r.Role), Merchant: known(r.MerchantID), Shop: r.Shop,
		Livemode: r.Livemode, WentLive: r.WentLive, SteppedUp: r.SteppedUpAt != nil && now.Sub(*r.SteppedUpAt) < stepUpTime,
		Device: known(r.DeviceID), Method: Method(r.Method), Since: r.CreatedAt,
	}, nil
}

// rotateTx gives a session another secret after its person proved again who he is.
func (s *Service) rotateTx(ctx context.Context, tx pgx.Tx, of id.Session, secret string) (fresh string, err error) {
	fresh = draw()
	n, err := queries.New().SessionRotate(ctx, tx, queries.SessionRotateParams{ID: of, Hash: hash(secret), Fresh: hash(fresh), Now: s.now()})
	if err != nil {
		return "", fmt.Errorf("rotate %s: %w", of, err)
	}
	if n == 0 {
		return "", ErrDenied
	}
	return fresh, nil
}

// Enter makes a session one for another shop of its person, where he may have another role: its secret changes.
// Errors: [ErrDenied] for a shop that does not know him, and for a till's session.
func (s *Service) Enter(ctx context.Context, of Session, secret string, merchant id.Merchant, from Browser) (fresh string, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if fresh, err = s.enterShopTx(ctx, tx, of.ID, secret, merchant); err != nil {
			return err
		}
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: from.by(of.Person, of.PersonName), Merchant: merchant, Action: "session.entered", ResourceType: "session", ResourceID: string(of.ID),
		})
	})
	if err != nil {
		return "", fmt.Errorf("enter %s: %w", merchant, err)
	}
	return fresh, nil
}

// enterShopTx makes a session one for a shop of its person, and gives it another secret. Errors: [ErrDenied].
func (s *Service) enterShopTx(ctx context.Context, tx pgx.Tx, of id.Session, secret string, merchant id.Merchant) (fresh string, err error) {
	fresh = draw()
	n, err := queries.New().SessionEnter(ctx, tx, queries.SessionEnterParams{ID: of, Hash: hash(secret), Fresh: hash(fresh), MerchantID: &merchant})
	if err == nil && n == 0 {
		err = ErrDenied
	}
	return fresh, err
}

// SetMode makes a session's dashboard show live or test rows.
func (s *Service) SetMode(ctx context.Context, of id.Session, livemode bool) error {
	return queries.New().SessionMode(ctx, s.pool, queries.SessionModeParams{ID: of, Livemode: livemode})
}

// SignOut ends a session at once. One that has ended already stays so.
func (s *Service) SignOut(ctx context.Context, secret string, from Browser) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		r, err := queries.New().SessionDelete(ctx, tx, hash(secret))
		if err != nil {
			return err
		}
		return audit.RecordTx(ctx, tx, s.now(), audit.Row{
			By: from.by(r.PersonID, r.Name), Merchant: id.Merchant(r.Shop), Action: "session.ended", ResourceType: "session", ResourceID: r.ID,
		})
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}

// SignedIn is one of a person's sessions, as he sees it in a list.
type SignedIn struct {
	ID        id.Session
	Shop      string // empty for none
	Method    Method
	Till      bool
	Address   string
	UserAgent string
	Since     time.Time
	Seen      time.Time
}

// Sessions lists where somebody is signed in, the last used first.
func (s *Service) Sessions(ctx context.Context, person id.Person) ([]SignedIn, error) {
	now := s.now()
	rows, err := queries.New().SessionList(ctx, s.pool, queries.SessionListParams{PersonID: person, Now: now, IdleSince: now.Add(-sessionIdle)})
	if err != nil {
		return nil, fmt.Errorf("sessions of %s: %w", person, err)
	}
	out := make([]SignedIn, len(rows))
	for i, r := range rows {
		out[i] = SignedIn{
			ID: r.ID, Shop: r.Shop, Method: Method(r.Method), Till: r.DeviceID != nil,
			Address: r.Address, UserAgent: r.UserAgent, Since: r.CreatedAt, Seen: r.SeenAt,
		}
	}
	return out, nil
}

// optional is nil for nothing.
func optional[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

func known[T ~string](v *T) T {
	if v == nil {
		return ""
	}
	return *v
}
