"""The National Longitudinal Surveys: files of the NLS Investigator, codebooks, and careers of NLSY79 and NLSY97."""
