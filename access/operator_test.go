package access_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

const operatorToken = "kP2r9vQ7sXw4zB6nM1tC8yL3hD5gJ0aF"

func TestTheOperatorHasTheToken(t *testing.T) {
	t.Parallel()
	d := open(t)
	o := access.NewOperator(d.pool, operatorToken, d.now)
	require.True(t, o.Configured())
	require.True(t, o.Admits(operatorToken))
	for _, wrong := range []string{"", operatorToken + "x", operatorToken[1:], "kp2r9vQ7sXw4zB6nM1tC8yL3hD5gJ0aF"} {
		require.False(t, o.Admits(wrong))
		_, err := o.SignIn(t.Context(), wrong)
		require.ErrorIs(t, err, access.ErrDenied)
	}
	require.ErrorIs(t, o.Session(t.Context(), ""), access.ErrDenied)
	require.ErrorIs(t, o.Session(t.Context(), "guessed"), access.ErrDenied)
}

func TestAnOperatorIsSignedInForTwelveHours(t *testing.T) {
	t.Parallel()
	d := open(t)
	o := access.NewOperator(d.pool, operatorToken, d.now)
	secret, err := o.SignIn(t.Context(), operatorToken)
	require.NoError(t, err)
	require.False(t, d.stored(t, "operator_sessions", secret))
	d.offset.Store(int64(access.OperatorTime - time.Minute))
	require.NoError(t, o.Session(t.Context(), secret))
	d.offset.Store(int64(access.OperatorTime + time.Second))
	require.ErrorIs(t, o.Session(t.Context(), secret), access.ErrDenied)
}

func TestASessionEndsWithSignOutAndWithTheToken(t *testing.T) {
	t.Parallel()
	d := open(t)
	o := access.NewOperator(d.pool, operatorToken, d.now)
	one, err := o.SignIn(t.Context(), operatorToken)
	require.NoError(t, err)
	other, err := o.SignIn(t.Context(), operatorToken)
	require.NoError(t, err)
	require.NoError(t, o.SignOut(t.Context(), one))
	require.ErrorIs(t, o.Session(t.Context(), one), access.ErrDenied)
	require.NoError(t, o.Session(t.Context(), other))

	changed := access.NewOperator(d.pool, operatorToken+"2", d.now)
	require.ErrorIs(t, changed.Session(t.Context(), other), access.ErrDenied, "whoever knew the former token is out")
}

func TestWithoutATokenNobodyIsTheOperator(t *testing.T) {
	t.Parallel()
	d := open(t)
	o := access.NewOperator(d.pool, "", d.now)
	require.False(t, o.Configured())
	require.False(t, o.Admits(""))
	_, err := o.SignIn(t.Context(), "")
	require.ErrorIs(t, err, access.ErrDenied)
}
