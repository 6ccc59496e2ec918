package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
)

func TestARecoveryCodeSignsInOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in, codes, err := h.Join(t.Context(), access.Newcomer{Name: "Ada"}, phone)
	require.NoError(t, err)
	require.Len(t, codes, 10)
	for _, code := range codes {
		require.Regexp(t, `^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){5}$`, code)
		require.False(t, h.door.stored(t, "recovery_codes", strings.ReplaceAll(code, "-", "")))
	}
	results := make([]error, 4)
	var group errgroup.Group
	for i := range results {
		group.Go(func() error {
			_, results[i] = h.SignInByCode(t.Context(), codes[0], phone)
			return nil
		})
	}
	require.NoError(t, group.Wait())
	var entered int
	for _, err := range results {
		if err == nil {
			entered++
		} else {
			require.ErrorIs(t, err, access.ErrDenied)
		}
	}
	require.Equal(t, 1, entered)

	typed := " " + strings.ToUpper(strings.ReplaceAll(codes[1], "-", " ")) + " "
	again, err := h.SignInByCode(t.Context(), strings.NewReplacer("0", "O", "1", "l").Replace(typed), phone)
	require.NoError(t, err, "as people type it")
	require.Equal(t, in.Person, again.Person)
	s := h.session(t, again.Secret)
	require.Equal(t, access.ByRecovery, s.Method)
	require.False(t, s.SteppedUp)
	ways, err := h.Ways(t.Context(), in.Person)
	require.NoError(t, err)
	require.Equal(t, 8, ways.Codes)

	for _, wrong := range []string{"", "x", codes[2][:28], codes[2] + "0", strings.Repeat("0", 24), "%", codes[0]} {
		_, err := h.SignInByCode(t.Context(), wrong, phone)
		require.ErrorIs(t, err, access.ErrDenied, wrong)
	}
	_, err = h.MakeCodes(t.Context(), s, phone)
	require.NoError(t, err)
	_, err = h.SignInByCode(t.Context(), codes[2], phone)
	require.ErrorIs(t, err, access.ErrDenied, "new codes end the ones before")
}

func TestWhoLostEverythingSetsItUpAnew(t *testing.T) {
	t.Parallel()
	h, lost, bought := newHouse(t), newKey(t), newKey(t)
	_, ada := h.enters(t, lost)
	codes, err := h.MakeCodes(t.Context(), ada, phone)
	require.NoError(t, err)
	in, err := h.SignInByCode(t.Context(), codes[0], phone)
	require.NoError(t, err)
	s := h.session(t, in.Secret)
	require.NoError(t, h.AddWallet(t.Context(), s, h.asks(t, access.ForWallet, s, bought), phone))
	_, err = h.ConfirmByCode(t.Context(), s, in.Secret, codes[1])
	require.ErrorIs(t, err, access.ErrDenied, "he has what signs")
	h.door.offset.Add(int64(16 * time.Minute))
	s = h.session(t, in.Secret)
	require.ErrorIs(t, h.AddWallet(t.Context(), s, h.asks(t, access.ForWallet, s, newKey(t)), phone), access.ErrStepUp, "not for ever")
}

func TestWhoHasNothingThatSignsConfirmsByCode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in, codes, err := h.Join(t.Context(), access.Newcomer{Name: "Ada"}, phone)
	require.NoError(t, err)
	_, others, err := h.Join(t.Context(), access.Newcomer{Name: "Eve"}, phone)
	require.NoError(t, err)
	require.True(t, h.session(t, in.Secret).SteppedUp, "there is nothing to guard yet")
	h.door.offset.Add(int64(6 * time.Minute))
	s := h.session(t, in.Secret)
	require.False(t, s.SteppedUp)
	for _, wrong := range []string{others[0], "x"} {
		_, err = h.ConfirmByCode(t.Context(), s, in.Secret, wrong)
		require.ErrorIs(t, err, access.ErrDenied)
	}
	_, err = h.SignInByCode(t.Context(), others[0], phone)
	require.NoError(t, err, "trying another's code does not use it up")
	secret, err := h.ConfirmByCode(t.Context(), s, in.Secret, codes[0])
	require.NoError(t, err)
	require.True(t, h.session(t, secret).SteppedUp)
}
