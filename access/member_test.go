package access_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/audit"
	"xsynesis/egress"
	"xsynesis/id"
	"xsynesis/vault"
	"xsynesis/webhook"
)

var from = access.Browser{Address: "192.0.2.7", UserAgent: "Firefox/140"}

// boss is the owner of a shop, signed in.
func (d door) boss(t *testing.T, merchant id.Merchant) access.Session {
	t.Helper()
	return d.signedIn(t, merchant, d.owner(t, merchant))
}

func (d door) signedIn(t *testing.T, merchant id.Merchant, person id.Person) access.Session {
	t.Helper()
	secret, err := d.SignIn(t.Context(), merchant, person)
	require.NoError(t, err)
	s, err := d.Session(t.Context(), secret)
	require.NoError(t, err)
	return s
}

// hired is somebody whom the boss invited, and who accepted.
func (d door) hired(t *testing.T, boss access.Session, role access.Role, name string) access.Session {
	t.Helper()
	_, token, err := d.Invite(t.Context(), boss, from, role, name)
	require.NoError(t, err)
	merchant, err := d.Accept(t.Context(), d.stranger(t, name), from, token)
	require.NoError(t, err)
	require.Equal(t, boss.Merchant, merchant)
	for _, c := range d.staff(t, merchant) {
		if c.Name == name {
			return d.signedIn(t, merchant, c.Person)
		}
	}
	t.Fatal("nobody came")
	return access.Session{}
}

// stranger is somebody with an account and no part in any shop but one of his own.
func (d door) stranger(t *testing.T, name string) access.Session {
	t.Helper()
	merchant, err := d.Found(t.Context(), access.Founding{Slug: strings.ToLower(name), Name: "Of " + name, Domain: "x.example", Owner: name})
	require.NoError(t, err)
	return d.boss(t, merchant)
}

func (d door) staff(t *testing.T, merchant id.Merchant) []access.Colleague {
	t.Helper()
	staff, err := d.Staff(t.Context(), merchant)
	require.NoError(t, err)
	return staff
}

func (d door) done(t *testing.T, merchant id.Merchant, action string) []audit.Entry {
	t.Helper()
	rows, err := d.Done(t.Context(), merchant, audit.Filter{Action: action}, audit.Page{Limit: 100})
	require.NoError(t, err)
	return rows
}

func TestAnInvitationMakesExactlyOneMemberHoweverManyAcceptAtOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	asked, token, err := d.Invite(t.Context(), boss, from, access.Viewer, "Ben")
	require.NoError(t, err)
	require.False(t, d.stored(t, "invites", token))
	shown, err := d.Invited(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, asked.ID, shown.ID)
	require.Equal(t, access.Viewer, shown.Role)

	var crowd []access.Session
	for _, name := range []string{"Ben", "Cem", "Dag", "Eva", "Fay", "Gil", "Hal", "Ida"} {
		crowd = append(crowd, d.stranger(t, name))
	}
	var in atomic.Int32
	var all sync.WaitGroup
	for _, s := range crowd {
		all.Go(func() {
			if _, err := d.Accept(t.Context(), s, from, token); err == nil {
				in.Add(1)
			} else {
				require.ErrorIs(t, err, access.ErrInvite)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, in.Load())
	require.Len(t, d.staff(t, boss.Merchant), 2)
	require.Len(t, d.done(t, boss.Merchant, "invite.created"), 1)
	require.Len(t, d.done(t, boss.Merchant, "invite.accepted"), 1)
	_, err = d.Invited(t.Context(), token)
	require.ErrorIs(t, err, access.ErrInvite)
}

func TestAnInvitationEnds(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	ben := d.stranger(t, "Ben")
	asked, token, err := d.Invite(t.Context(), boss, from, access.Viewer, "Ben")
	require.NoError(t, err)
	d.offset.Add(int64(access.InviteTime))
	_, err = d.Accept(t.Context(), ben, from, token)
	require.ErrorIs(t, err, access.ErrInvite, "too old")
	d.offset.Store(0)
	require.ErrorIs(t, d.RevokeInvite(t.Context(), ben, from, asked.ID), access.ErrNotFound, "another shop's")
	require.NoError(t, d.RevokeInvite(t.Context(), boss, from, asked.ID))
	_, err = d.Accept(t.Context(), ben, from, token)
	require.ErrorIs(t, err, access.ErrInvite, "revoked")
	_, err = d.Accept(t.Context(), ben, from, token+"x")
	require.ErrorIs(t, err, access.ErrNotFound)

	_, token, err = d.Invite(t.Context(), boss, from, access.Manager, "Me")
	require.NoError(t, err)
	_, err = d.Accept(t.Context(), boss, from, token)
	require.ErrorIs(t, err, access.ErrMember, "an owner is not made a manager by a link")
	_, err = d.Invited(t.Context(), token)
	require.NoError(t, err, "it stays good for another")

	manager := d.hired(t, boss, access.Manager, "Mia")
	_, token, err = d.Invite(t.Context(), manager, from, access.Viewer, "Friend")
	require.NoError(t, err)
	require.NoError(t, d.Remove(t.Context(), boss, from, manager.Person))
	_, err = d.Accept(t.Context(), ben, from, token)
	require.ErrorIs(t, err, access.ErrInvite, "whoever is gone lets nobody in")
}

func TestNobodyGivesWhatIsNotHisToGive(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	manager, viewer := d.hired(t, boss, access.Manager, "Mia"), d.hired(t, boss, access.Viewer, "Vic")
	for _, role := range []access.Role{access.Owner, access.Manager, "admin", ""} {
		_, _, err := d.Invite(t.Context(), manager, from, role, "Pal")
		require.ErrorIs(t, err, access.ErrRole, role)
		require.ErrorIs(t, d.ChangeRole(t.Context(), manager, from, viewer.Person, role), access.ErrRole, role)
		require.ErrorIs(t, d.ChangeRole(t.Context(), manager, from, manager.Person, role), access.ErrRole, role)
	}
	require.ErrorIs(t, d.Remove(t.Context(), manager, from, boss.Person), access.ErrRole)
	require.ErrorIs(t, d.SetPIN(t.Context(), manager, from, boss.Person, "4921"), access.ErrRole)
	require.ErrorIs(t, d.Remove(t.Context(), viewer, from, manager.Person), access.ErrRole)
	_, _, err := d.StartPairing(t.Context(), viewer, from, "Mine")
	require.ErrorIs(t, err, access.ErrRole)

	stale := boss
	stale.SteppedUp = false
	require.ErrorIs(t, d.ChangeRole(t.Context(), stale, from, viewer.Person, access.Manager), access.ErrStepUp)
	_, _, err = d.Invite(t.Context(), stale, from, access.Owner, "Pal")
	require.ErrorIs(t, err, access.ErrStepUp)
	require.NoError(t, d.ChangeRole(t.Context(), stale, from, viewer.Person, access.Accountant))

	require.NoError(t, d.Remove(t.Context(), boss, from, manager.Person))
	require.ErrorIs(t, d.Remove(t.Context(), manager, from, viewer.Person), access.ErrDenied, "his page was open when he was removed")

	other := d.stranger(t, "Olga")
	require.ErrorIs(t, d.Remove(t.Context(), other, from, viewer.Person), access.ErrNotFound, "another shop's")
}

func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	d := open(t)
	ada := d.boss(t, d.found(t, "cafe"))
	for _, err := range []error{
		d.Leave(t.Context(), ada, from), d.Remove(t.Context(), ada, from, ada.Person), d.Suspend(t.Context(), ada, from, ada.Person),
		d.ChangeRole(t.Context(), ada, from, ada.Person, access.Viewer),
	} {
		require.ErrorIs(t, err, access.ErrLastOwner)
	}
	require.Empty(t, d.done(t, ada.Merchant, "member.removed"), "what did not happen is not in the log")

	bea := d.hired(t, ada, access.Owner, "Bea")
	var gone atomic.Int32
	var both sync.WaitGroup
	for _, s := range []access.Session{ada, bea} {
		both.Go(func() {
			if err := d.Leave(t.Context(), s, from); err == nil {
				gone.Add(1)
			} else {
				require.ErrorIs(t, err, access.ErrLastOwner)
			}
		})
	}
	both.Wait()
	require.EqualValues(t, 1, gone.Load(), "of two owners who leave at once, one stays")
}

func TestWhoeverIsRemovedIsSignedOutOfThatShopAlone(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	d.hired(t, boss, access.Manager, "Mia")
	var mia id.Person
	for _, c := range d.staff(t, boss.Merchant) {
		if c.Role == access.Manager {
			mia = c.Person
		}
	}
	shops, err := d.Shops(t.Context(), mia)
	require.NoError(t, err)
	require.Len(t, shops, 2)
	here, err := d.SignIn(t.Context(), boss.Merchant, mia)
	require.NoError(t, err)
	own := shops[0].Merchant
	if own == boss.Merchant {
		own = shops[1].Merchant
	}
	elsewhere, err := d.SignIn(t.Context(), own, mia)
	require.NoError(t, err)

	require.NoError(t, d.ChangeRole(t.Context(), boss, from, mia, access.Viewer))
	_, err = d.Session(t.Context(), here)
	require.ErrorIs(t, err, access.ErrDenied, "a new role needs a new session")
	require.NoError(t, d.Suspend(t.Context(), boss, from, mia))
	_, err = d.SignIn(t.Context(), boss.Merchant, mia)
	require.ErrorIs(t, err, access.ErrDenied)
	require.NoError(t, d.Resume(t.Context(), boss, from, mia))
	here, err = d.SignIn(t.Context(), boss.Merchant, mia)
	require.NoError(t, err)
	require.NoError(t, d.Remove(t.Context(), boss, from, mia))
	_, err = d.Session(t.Context(), here)
	require.ErrorIs(t, err, access.ErrDenied)
	_, err = d.Session(t.Context(), elsewhere)
	require.NoError(t, err)

	rows := d.done(t, boss.Merchant, "member.removed")
	require.Len(t, rows, 1)
	require.Equal(t, boss.Person, rows[0].Person)
	require.Equal(t, from.Address, rows[0].Address)
	require.JSONEq(t, `{"name":"Mia","role":"viewer","status":"active"}`, string(rows[0].Before))
	require.JSONEq(t, `{"name":"Mia","role":"viewer","status":"removed"}`, string(rows[0].After))
}

// counter is a paired tablet with a cashier.
func (d door) counter(t *testing.T, boss access.Session) (*access.Tills, access.Device, id.Person) {
	t.Helper()
	jobs, err := river.NewClient(riverpgxv5.New(d.pool), &river.Config{})
	require.NoError(t, err)
	sealer, err := vault.New([]byte("the master key of this: 32 bytes"))
	require.NoError(t, err)
	hooks := webhook.New(d.pool, jobs, webhook.Options{
		Egress: egress.New(egress.Options{}), Vault: sealer, PublicURL: "https://shop.example", Now: d.now, Lease: time.Minute, Sweep: time.Minute, Timeout: time.Second,
	})
	code, _, err := d.StartPairing(t.Context(), boss, from, "Counter")
	require.NoError(t, err)
	secret, err := d.Pair(t.Context(), code[:3]+" "+code[3:], from)
	require.NoError(t, err)
	require.False(t, d.stored(t, "devices", secret))
	_, err = d.Pair(t.Context(), code, from)
	require.ErrorIs(t, err, access.ErrPairing, "it pairs one tablet")
	device, err := d.Device(t.Context(), secret)
	require.NoError(t, err)
	cashier, err := d.AddCashier(t.Context(), boss, from, "Kim", "4921")
	require.NoError(t, err)
	return access.NewTills(d.Service, hooks), device, cashier
}

func TestATillIsUnlockedByPINAndLocksItself(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	tills, counter, kim := d.counter(t, boss)
	tiles, err := tills.Tiles(t.Context(), boss.Merchant)
	require.NoError(t, err)
	require.Equal(t, []access.Tile{{Person: kim, Name: "Kim", Role: access.Cashier}}, tiles)

	secret, err := tills.Unlock(t.Context(), counter, kim, "4921", from)
	require.NoError(t, err)
	s, err := tills.Unlocked(t.Context(), counter, secret, true)
	require.NoError(t, err)
	require.Equal(t, kim, s.Person)
	require.True(t, s.May(access.UseTill))
	d.offset.Add(int64(access.TillIdle - time.Second))
	_, err = tills.Unlocked(t.Context(), counter, secret, true)
	require.NoError(t, err, "it was touched")
	d.offset.Add(int64(access.TillIdle - time.Second))
	_, err = tills.Unlocked(t.Context(), counter, secret, false)
	require.NoError(t, err, "the page looked by itself")
	d.offset.Add(int64(2 * time.Second))
	_, err = tills.Unlocked(t.Context(), counter, secret, true)
	require.ErrorIs(t, err, access.ErrDenied, "nobody touched it")

	secret, err = tills.Unlock(t.Context(), counter, kim, "4921", from)
	require.NoError(t, err)
	require.NoError(t, d.SetPIN(t.Context(), boss, from, kim, "77310"))
	_, err = tills.Unlocked(t.Context(), counter, secret, true)
	require.ErrorIs(t, err, access.ErrDenied, "a new PIN locks what the former unlocked")
	secret, err = tills.Unlock(t.Context(), counter, kim, "77310", from)
	require.NoError(t, err)
	require.NoError(t, d.RevokeDevice(t.Context(), boss, from, counter.ID))
	_, err = tills.Unlocked(t.Context(), counter, secret, true)
	require.ErrorIs(t, err, access.ErrDenied)
	require.False(t, d.stored(t, "audit_rows", "77310"))
	require.False(t, d.stored(t, "members", "77310"))
}

func TestWrongPINsPauseTheTileAndTellTheOwners(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	tills, counter, kim := d.counter(t, boss)
	for range 4 {
		_, err := tills.Unlock(t.Context(), counter, kim, "0000", from)
		require.ErrorIs(t, err, access.ErrPIN)
	}
	var paused *access.PausedError
	_, err := tills.Unlock(t.Context(), counter, kim, "0000", from)
	require.ErrorAs(t, err, &paused)
	require.WithinDuration(t, d.now().Add(time.Minute), paused.Until, 10*time.Second)
	_, err = tills.Unlock(t.Context(), counter, kim, "4921", from)
	require.ErrorAs(t, err, &paused, "also with the right one")
	bells := func() (test, live int) {
		require.NoError(t, d.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE NOT livemode), count(*) FILTER (WHERE livemode)
			FROM notices WHERE kind = 'pin_paused' AND merchant_id = $1`, boss.Merchant).Scan(&test, &live))
		return test, live
	}
	test, live := bells()
	require.Equal(t, []int{1, 0}, []int{test, live}, "there is no real money yet")
	require.Len(t, d.done(t, boss.Merchant, "pin.refused"), 5)
	require.False(t, d.stored(t, "audit_rows", "4921"))

	_, err = d.pool.Exec(t.Context(), `UPDATE merchants SET went_live_at = now() WHERE id = $1`, boss.Merchant)
	require.NoError(t, err)
	d.offset.Add(int64(61 * time.Second))
	for range 5 {
		_, err = tills.Unlock(t.Context(), counter, kim, "0001", from)
	}
	require.ErrorAs(t, err, &paused)
	test, live = bells()
	require.Equal(t, []int{2, 1}, []int{test, live}, "whoever looks at real money is told too")
	require.WithinDuration(t, d.now().Add(2*time.Minute), paused.Until, 10*time.Second, "the next pause is longer")
	d.offset.Add(int64(121 * time.Second))
	_, err = tills.Unlock(t.Context(), counter, kim, "4921", from)
	require.NoError(t, err)
}

func TestOnlyUnguessablePINsAreTaken(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	for _, pin := range []string{"", "123", "1234", "4321", "0000", "123456789", "12a4", "４９２１", "-123", "49 21"} {
		_, err := d.AddCashier(t.Context(), boss, from, "Kim", pin)
		require.ErrorIs(t, err, access.ErrPINForm, pin)
	}
}

func TestAPairingCodeBearsFewWrongGuessesAndFiveMinutes(t *testing.T) {
	t.Parallel()
	d := open(t)
	boss := d.boss(t, d.found(t, "cafe"))
	code, _, err := d.StartPairing(t.Context(), boss, from, "Counter")
	require.NoError(t, err)
	d.offset.Add(int64(access.PairingTime))
	_, err = d.Pair(t.Context(), code, from)
	require.ErrorIs(t, err, access.ErrPairing)
	code, _, err = d.StartPairing(t.Context(), boss, from, "Counter")
	require.NoError(t, err)
	wrong := "111111"
	if code == wrong {
		wrong = "222222"
	}
	for range 20 {
		_, err = d.Pair(t.Context(), wrong, from)
		require.ErrorIs(t, err, access.ErrPairing)
	}
	_, err = d.Pair(t.Context(), code, from)
	require.ErrorIs(t, err, access.ErrPairing)
}
