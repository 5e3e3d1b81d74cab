//! Values and keys are nowhere but where they belong.
