/** Whether a login asks for a second factor: never, of those who have one, or of everybody. */
export type SecondFactorMode = "off" | "optional" | "required";
