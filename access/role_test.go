package access_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

func TestEveryRoleIsDescribedAndMaySomething(t *testing.T) {
	t.Parallel()
	for _, r := range access.Roles {
		require.True(t, r.Valid())
		require.NotEmpty(t, r.Sheet().Name)
		require.NotEmpty(t, r.Sheet().Can)
		require.Equal(t, r == access.Owner, r.Sheet().Cannot == "", "%s: only an owner may everything", r)
		some := false
		for _, p := range access.Permissions {
			some = some || r.May(p)
		}
		require.True(t, some, r)
	}
}

func TestWhatIsNotGrantedIsRefused(t *testing.T) {
	t.Parallel()
	for _, p := range access.Permissions {
		require.True(t, access.Owner.May(p), p)
		require.False(t, access.Role("").May(p), p)
		require.False(t, access.Role("admin").May(p), p)
	}
	for _, r := range access.Roles {
		require.False(t, r.May(""), r)
		require.False(t, r.May("fly"), r)
	}
	for _, p := range []access.Permission{access.ChangePayee, access.GoLive} {
		for _, r := range access.Roles[1:] {
			require.False(t, r.May(p), "%s: %s", r, p)
		}
	}
	for _, p := range access.Permissions {
		require.Equal(t, p == access.UseTill, access.Cashier.May(p), p)
	}
}

func TestNobodyGrantsARoleThatStandsAsHighAsHisOwn(t *testing.T) {
	t.Parallel()
	for _, r := range access.Roles {
		require.True(t, access.Owner.MayGrant(r))
		require.Equal(t, r != access.Owner && r != access.Manager, access.Manager.MayGrant(r), r)
		for _, giver := range []access.Role{access.Developer, access.Accountant, access.Cashier, access.Viewer, ""} {
			require.False(t, giver.MayGrant(r), "%s to %s", giver, r)
		}
	}
	require.False(t, access.Owner.MayGrant("admin"))
}

func TestATillOpensNothingButTheTill(t *testing.T) {
	t.Parallel()
	at := access.Session{Merchant: "sel_1", Role: access.Owner, Device: "dev_1"}
	for _, p := range access.Permissions {
		require.Equal(t, p == access.UseTill || p == access.GiveDiscounts, at.May(p), p)
	}
	at.Device = ""
	require.True(t, at.May(access.ChangePayee))
	at.Merchant = ""
	require.False(t, at.May(access.ChangePayee))
}
